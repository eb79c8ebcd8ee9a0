"""The profile level on this machine's CPU: golden peaks, exact repeats, slices, times, operations, cross-checks."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.errors import RequestError
from planner.schema import PlanRequest, parse_request
from profiler.measured import total
from profiler.profile import profile
from profiler.settings import Settings, read_settings
from tests.profiler.recipes import LLAMA, request

pytestmark = pytest.mark.torch
GOLDEN_FILE = Path(__file__).parents[1] / "golden" / "measured_cpu.jsonl"
GOLDEN = {line["request"]["id"]: line for line in map(json.loads, GOLDEN_FILE.read_text().splitlines())}
#: Cheap lines, one for each method and one of a stack of experts; the others are measured by hand (CONTRIBUTING.md).
QUICK = ("cpu001", "cpu022", "cpu025", "cpu039")
QUIET = Settings(steps=1, warmup=0)


def run(recipe: PlanRequest, settings: Settings = QUIET) -> dict[str, Any]:
    return profile(recipe, settings, lambda *_: None)


def without_times(figures: dict[str, Any]) -> dict[str, Any]:
    timed = ("seconds", "per_second", "rss", "hardware")
    return {key: value for key, value in figures.items() if not any(word in key for word in timed)}


@pytest.mark.parametrize("name", QUICK)
def test_the_peak_is_that_of_the_golden_steps(name: str) -> None:
    figures, truth = run(parse_request(GOLDEN[name]["request"])), GOLDEN[name]["measured"]
    assert figures["peak_bytes"] == pytest.approx(truth["peak_bytes"], rel=1e-3)
    assert {key: figures[key] for key in truth if key != "peak_bytes"} == {
        key: value for key, value in truth.items() if key != "peak_bytes"
    }


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_two_repeats_agree_exactly_in_bytes(method: str) -> None:
    recipe = request(method=method, lora={"lora_dropout": 0.1} if method != "full" else None)
    first, second = run(recipe), run(recipe)
    assert without_times(first) == without_times(second)


@pytest.mark.parametrize("method", ["full", "qlora"])
def test_the_allocator_counts_the_same_peak(method: str) -> None:
    figures = run(request(method=method, max_length=96))
    assert figures["allocator_peak_bytes"] == pytest.approx(figures["peak_bytes"], rel=2e-3)


def test_operations_are_those_of_the_matrices() -> None:
    """Forward 2, backward 4 for each weight and token of a linear layer; attention's two products likewise."""
    tokens, hidden, inner, vocab, layers = 2 * 48, 128, 320, 1000, 2
    linears = layers * (hidden * hidden * 2 + hidden * (hidden // 2) * 2 + 3 * hidden * inner) + hidden * vocab
    attention = layers * 2 * (2 * 2 * 48 * 48 * hidden)
    expected = 6 * tokens * linears + attention + attention * 5 // 2  # flash attention recomputes the scores
    assert run(request())["flops_per_step"] == expected


def test_slices_stand_for_the_whole_model_and_say_so() -> None:
    deep = request(LLAMA | {"num_hidden_layers": 9}, "lora")
    whole, sliced = run(deep), run(deep, Settings(steps=1, warmup=0, slices=True))
    assert sliced["slices"] == [3, 4]
    assert any("measured with 3 and 4 layers and extrapolated" in note for note in sliced["notes"])
    assert any("extrapolated by depth" in note for note in sliced["notes"])
    names = ("weights_bytes", "peak_bytes", "steady_bytes", "total_params", "flops_per_step", "peak_phase")
    assert {name: sliced[name] for name in names} == {name: whole[name] for name in names}


def test_slices_of_a_shallow_model_are_refused() -> None:
    with pytest.raises(RequestError, match="cannot be measured in slices"):
        run(request(), Settings(slices=True))


def test_times_are_of_steps_that_nobody_follows() -> None:
    figures = run(request(), Settings(steps=3, warmup=1))
    middle = sorted(figures["step_seconds"])[1]
    assert len(figures["step_seconds"]) == figures["steps"] == 3
    assert figures["step_seconds_median"] == middle
    assert figures["tokens_per_second"] == pytest.approx(2 * 48 / middle)
    assert figures["flops_per_second"] == pytest.approx(figures["flops_per_step"] / middle)
    assert figures["followed_step_seconds"] > 0 and figures["hardware"]["matmul_flops_per_second"] > 0
    assert figures["settings"] | {"steps": 3, "warmup": 1, "seed": 0} == figures["settings"]


def test_progress_counts_every_part_and_tells_the_peak() -> None:
    told: list[tuple[int, int, str, int | None]] = []
    figures = profile(request(), Settings(steps=2, warmup=1), lambda *part: told.append(part))
    assert [done for done, *_ in told] == list(range(told[0][1]))
    assert {of for _, of, *_ in told} == {1 + 2 + 1 + 2 + 2}
    assert told[0][3] is None and told[-1][3] == figures["peak_bytes"]
    assert [what for _, _, what, _ in told if what.startswith("step ")][-1] == "step 2 of 2"


def test_a_run_without_checks_says_that_it_counted_nothing() -> None:
    told: list[int] = []
    settings = Settings(steps=1, warmup=0, checks=False)
    figures = profile(request(), settings, lambda done, of, what, peak: told.append(of))
    assert (figures["flops_per_step"], figures["flops_per_second"], figures["allocator_peak_bytes"]) == (None,) * 3
    assert len(told) == told[0] == 1 + 2 + 1


def test_the_process_is_seen_by_the_system() -> None:
    figures = run(request())
    assert figures["peak_rss_bytes"] >= figures["base_rss_bytes"] > 2**26
    assert total(figures["live_bytes"]) == figures["peak_bytes"]


@pytest.mark.parametrize(
    ("settings", "said"), [({"stepz": 1}, "no such setting: stepz"), ({"steps": 0}, "steps must be >= 1")]
)
def test_wrong_settings_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read_settings(settings)
