"""Traces against real steps on this CPU, to the byte, and slices against whole models."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.errors import RequestError
from planner.schema import PlanRequest, parse_request
from profiler.measure import measure
from profiler.measured import Measured, total
from profiler.trace import trace
from tests.profiler.recipes import GPT2, LLAMA, RECIPES, request

pytestmark = pytest.mark.torch
FIGURES = ("weights_bytes", "peak_bytes", "steady_bytes", "trainable_params", "total_params")
#: Real steps measured elsewhere, see tests/golden/README.md.
GOLDEN_FILE = Path(__file__).parents[1] / "golden" / "measured_cpu.jsonl"
GOLDEN = {line["request"]["id"]: line for line in map(json.loads, GOLDEN_FILE.read_text().splitlines())}

#: Lines of the golden file that are traced by default, one or two of each family; the others with -m slow.
GOLDEN_QUICK = {
    *("cpu000", "cpu001", "cpu002", "cpu006", "cpu011", "cpu015", "cpu017", "cpu020", "cpu021", "cpu022", "cpu025"),
    *("cpu031", "cpu034", "cpu035", "cpu039", "cpu041", "cpu042"),
}
DEEP_LLAMA = LLAMA | {"num_hidden_layers": 8}
DEEP = {
    "full: gradients grow backward": request(DEEP_LLAMA, optim="sgd", gradient_checkpointing=True),
    "full, optimizer is the peak": request(DEEP_LLAMA, optim="adamw_torch", max_length=4, device="cuda"),
    "lora: activations grow forward": request(DEEP_LLAMA, "lora", max_length=128),
    "qlora, checkpointed": request(DEEP_LLAMA, "qlora", gradient_checkpointing=True),
    "gemma2: period of two": request(
        LLAMA | {"model_type": "gemma2", "head_dim": 32, "num_hidden_layers": 16, "sliding_window": 16}, "lora"
    ),
    "named n_layer": request(GPT2 | {"n_layer": 8}, "lora"),
}


def figures(measured: Measured) -> dict[str, int]:
    return {key: getattr(measured, key) for key in FIGURES}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_trace_equals_real_steps(recipe: PlanRequest) -> None:
    real, traced = measure(recipe), trace(recipe)
    assert traced == real


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in GOLDEN_QUICK else pytest.mark.slow) for name in GOLDEN]
)
def test_a_trace_equals_the_golden_steps(name: str) -> None:
    assert figures(trace(parse_request(GOLDEN[name]["request"]))) == GOLDEN[name]["measured"]


@pytest.mark.parametrize("recipe", DEEP.values(), ids=DEEP.keys())
def test_slices_stand_for_the_whole_model(recipe: PlanRequest) -> None:
    sliced, whole = trace(recipe), trace(recipe, whole=True)
    assert sliced.record is None and "extrapolated" in sliced.notes[-1]
    assert figures(sliced) == figures(whole)
    assert sliced.peak_phase == whole.peak_phase
    assert sliced.storages == whole.storages
    assert sliced.series == whole.series


def test_the_quick_lines_leave_out_no_family_method_optimizer_or_attention() -> None:
    def kinds(names: Iterable[str]) -> set[str]:
        asked = [GOLDEN[name]["request"] for name in names]
        fields = ("method", "optim", "attn_implementation", "dtype", "mixed_precision", "gradient_checkpointing")
        return {f"{field} {one[field]}" for one in asked for field in fields} | {
            one["model"]["model_type"] for one in asked
        }

    assert kinds(GOLDEN_QUICK) == kinds(GOLDEN)


def test_categories_add_up_to_the_peak() -> None:
    traced = trace(request(method="lora"))
    assert total(traced.live_bytes) == traced.peak_bytes == max(total(live) for live in traced.timeline.values())
    assert traced.live_bytes["weights"] == traced.weights_bytes
    assert set(traced.timeline) >= {"forward", "loss", "backward_head", "backward_layers", "optimizer_step"}


def test_fewer_layers_can_be_asked_for() -> None:
    one, two = trace(request(), num_layers=1), trace(request(), num_layers=2)
    assert two == trace(request())
    assert one.total_params < two.total_params


def test_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    trace(DEEP["full: gradients grow backward"], say=lambda *news: told.append(news))
    assert told == [(1, 3, "tracing 3 layers"), (2, 3, "tracing 4 layers")]


def test_what_is_traced_differently_is_said() -> None:
    traced = trace(request(method="lora", attn_implementation="flash_attention_2", device="cuda"))
    assert traced.notes == (
        "attn_implementation flash_attention_2: llama runs as sdpa",
        "device cuda: run through the libraries' CPU code",
    )


def test_what_transformers_class_leaves_out_is_said() -> None:
    mpt = {"model_type": "mpt", "d_model": 32, "n_heads": 4, "n_layers": 1, "vocab_size": 100, "max_seq_len": 64}
    asked = {"attn_implementation": "eager"}
    plain, more = (trace(request(mpt | fields, **asked)) for fields in ({}, {"no_bias": False}))
    assert plain.notes == () and "no biases and no learned positions" in more.notes[0]
    assert more.total_params == plain.total_params


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loss": "chunked"}, "loss='chunked' is not run by the profiler"),
        ({"attn_implementation": "flash_attention_2"}, "needs a GPU"),
        ({"model": "gpt2"}, "needs the config itself"),
        ({"model": {"hidden_size": 8}}, "needs its model_type"),
        ({"model": {"model_type": "vit"}}, "language models only"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(fields: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said) as refusal:
        measure(request().model_copy(update=fields))
    assert "\n" not in str(refusal.value)
