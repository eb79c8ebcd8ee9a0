"""The laboratory of low rank: the same base and batches, the planner's counts, and losses that fall."""

from typing import Any

import pytest

from planner.catalog.texts import read_text
from planner.errors import RequestError
from planner.estimate import estimate
from planner.schema import parse_request

torch = pytest.importorskip("torch", reason="the laboratory runs torch")
pytest.importorskip("bitsandbytes", reason="the laboratory runs bitsandbytes")

from profiler.labs.low_rank import CONFIG, low_rank  # noqa: E402

TASK = {"steps": 12, "base_steps": 10, "r": 4, "first_text": "alice.txt", "second_text": "coriolanus.txt"}


def _task(**changes: Any) -> dict[str, Any]:
    texts = {key: read_text(str(TASK[key])) for key in ("first_text", "second_text")}
    return {**TASK, **texts, **changes}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    told: list[tuple[int, int]] = []
    answer = low_rank(_task(), lambda done, of, what, peak: told.append((done, of)))
    assert told[-1] == (46, 46) and [done for done, _ in told] == sorted(done for done, _ in told)
    return answer | {"by": {way["method"]: way for way in answer["ways"]}}


def test_all_ways_begin_with_the_base(found: dict[str, Any]) -> None:
    assert found["by"]["full"]["losses"][0] == found["by"]["lora"]["losses"][0] == found["base_loss"]
    assert found["by"]["qlora"]["losses"][0] == pytest.approx(found["base_loss"], rel=0.02)
    assert found["by"]["qlora"]["losses"][0] != found["base_loss"]


def test_every_way_learns(found: dict[str, Any]) -> None:
    for way in found["ways"]:
        assert way["steps"] == (0, 10, 12) and len(way["losses"]) == 3
        assert way["losses"][-1] < way["losses"][0]
        assert way["seconds"] > 0


def test_counts_are_the_planner_s(found: dict[str, Any]) -> None:
    for method, way in found["by"].items():
        fields: dict[str, Any] = {"model": CONFIG, "method": method, "dtype": "float32", "device": "cpu"}
        plan = estimate(parse_request(fields | ({} if method == "full" else {"lora": {"r": 4}})))
        assert way["trained_params"] == plan.trainable_params
        assert way["total_params"] == plan.total_params


def test_adapters_hold_less_at_the_peak(found: dict[str, Any]) -> None:
    full, lora, qlora = (found["by"][method]["peak_bytes"] for method in ("full", "lora", "qlora"))
    assert full > lora > qlora


@pytest.mark.parametrize("changes", [{"steps": 0}, {"r": 1000}, {"second_text": "short"}])
def test_what_is_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        low_rank(_task(**changes), lambda *_: None)
