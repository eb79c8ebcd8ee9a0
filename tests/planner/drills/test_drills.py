"""200 drills from different seeds: all answerable, their answers the planner's, mistakes told from right answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from planner.drills.draw import MAKERS, check_topics, drawn
from planner.drills.drill import TOPICS, Drill
from planner.drills.marking import mark, right_answer
from planner.drills.pools import short
from planner.errors import RequestError
from planner.estimate import estimate
from planner.memory.inventory import Item
from planner.prepare import prepare
from planner.schema import PlanRequest, parse_request
from planner.serving.estimate import serving
from planner.serving.request import parse_serve_request
from planner.units import GB, GIB, ITEMSIZE

SEEDS, EACH = 20, 10


@pytest.fixture(scope="module")
def two_hundred() -> list[Drill]:
    return [drill for seed in range(SEEDS) for drill in drawn(seed, EACH)]


def numbers(found: list[Drill]) -> Iterator[tuple[Drill, float]]:
    yield from ((drill, drill.value) for drill in found if drill.value is not None)


def written(drill: Drill, value: float) -> str:
    """The value as somebody would type it, with four digits."""
    if drill.quantity == "memory":
        return f"{value / GIB:.6g} GiB"
    units = {"parameters": "parameters", "share": "%", "time": "h", "money": "USD", "bytes a parameter": "bytes"}
    return f"{value * (100 if drill.quantity == 'share' else 1):.6g} {units[str(drill.quantity)]}"


def test_all_are_answerable(two_hundred: list[Drill]) -> None:
    assert len(two_hundred) == SEEDS * EACH
    assert {drill.topic for drill in two_hundred} == set(TOPICS)
    for drill in two_hundred:
        right = right_answer(drill)
        assert right and drill.text.endswith("?") and drill.derivation
        assert mark(drill, right).outcome == "right", (drill.text, right)


def test_the_same_seed_asks_the_same() -> None:
    assert drawn(7, 10) == drawn(7, 10)
    assert [d.text for d in drawn(7, 10)] != [d.text for d in drawn(8, 10)]


# -- the planner asked again, by other ways than the makers' -----------------------------------------------------------


def elements(request: PlanRequest, trained_only: bool = False) -> list[tuple[Item, int]]:
    items = prepare(request)[1].static.items
    return [(item, item.elements) for item in items if item.trainable or not trained_only]


def expected(drill: Drill) -> float:
    """From the planner's tensors and rates, with this test's own arithmetic."""
    if drill.topic == "cache":
        return serving(parse_serve_request(drill.request)).cache_bytes
    request = parse_request(drill.request)
    plan = estimate(request)
    if drill.topic == "weights":
        return sum(n * ITEMSIZE[item.dtype] for item, n in elements(request))
    if drill.topic == "gradients":
        return sum(n * ITEMSIZE[item.dtype] for item, n in elements(request, True))
    if drill.topic == "logits":
        vocab = prepare(request)[1].model.architecture.vocab_size
        return 4 * request.per_device_train_batch_size * request.max_length * vocab
    if drill.topic == "cost":
        assert plan.tokens_per_second and plan.price and request.dataset
        hours = request.dataset.trained_tokens / plan.tokens_per_second / 3600
        return hours if drill.quantity == "time" else hours * plan.price.usd_per_hour
    if drill.topic == "lora":
        count = sum(n for item, n in elements(request, True))
        whole = sum(n for item, n in elements(request) if item.role != "buffer")
        return {"parameters": count, "share": count / whole, "memory": 4 * count}[str(drill.quantity)]
    if drill.topic == "optimizer":
        size = ITEMSIZE[request.dtype]
        if drill.quantity == "bytes a parameter":
            return 4 * size
        each = 2 * (1 + 4 / 256) if request.optim == "adamw_bnb_8bit" else 2 * size
        return each * plan.total_params
    if "prepare_model_for_kbit_training" in drill.text:
        return 4 * sum(n for i, n in elements(request) if i.role not in ("linear_4bit", "adapter", "buffer"))
    assert request.quantization is not None
    each = 0.5 + (1 / 64 + 4 / 64 / 256 if request.quantization.bnb_4bit_use_double_quant else 4 / 64)
    return each * sum(n for i, n in elements(request) if i.role == "linear_4bit")


def test_stated_answers_are_the_planner_s(two_hundred: list[Drill]) -> None:
    for drill, value in numbers(two_hundred):
        assert value == pytest.approx(expected(drill), rel=0.005), drill.text
    for drill in (d for d in two_hundred if d.topic == "fit"):
        assert drill.answer == estimate(parse_request(drill.request)).verdict


def test_numbers_of_open_answers_come_from_the_planner(two_hundred: list[Drill]) -> None:
    """Each figure is one of a plan of the question's model, with another method or without checkpointing."""
    for drill in (d for d in two_hundred if d.kind == "open"):
        known = _figures(drill.request)
        said = drill.answer.replace(short(drill.request["model"]), "")
        for figure in re.findall(r"[\d.,]+ GiB|[\d.]+[BM]\b", said):
            assert figure.strip(",") in known, (figure, drill.text)


def _figures(request: dict[str, Any]) -> set[str]:
    from planner.units import format_count, format_gib

    found: set[str] = set()
    for change in ({}, {"method": "full"}, {"method": "lora"}, {"gradient_checkpointing": False}):
        plan = estimate(parse_request({**request, **change}))
        sizes = [int(v) for k, v in plan.model_dump().items() if k.endswith("_bytes") and v is not None]
        sizes += [size for moment in plan.timeline for size in moment.live_bytes.values()]
        found |= {format_gib(size) for size in sizes}
        found |= {format_count(count) for count in (plan.total_params, plan.trainable_params)}
    return found


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_tenfold_errors_are_told_apart(two_hundred: list[Drill]) -> None:
    for drill, value in numbers(two_hundred):
        for wrong in (value * 10, value / 10, value * 100):
            assert mark(drill, written(drill, wrong)).outcome == "tenfold", drill.text


def test_wrong_units_are_told_apart(two_hundred: list[Drill]) -> None:
    others = {"memory": "hours", "parameters": "GiB", "share": "GiB", "time": "GB", "money": "hours"}
    for drill, value in numbers(two_hundred):
        unit = others.get(str(drill.quantity), "hours")
        found = mark(drill, f"{value:.6g} {unit}")
        assert (found.outcome, found.share) == ("wrong unit", 0), drill.text


def test_gb_and_gib_are_told_apart(two_hundred: list[Drill]) -> None:
    for drill, value in numbers(two_hundred):
        if drill.quantity == "memory":
            assert mark(drill, f"{value / GB:.6g} GB").outcome == "right"
            assert mark(drill, f"{value / GB:.6g} GiB").outcome == "GB for GiB"
            assert mark(drill, f"{value / GIB:.6g} GB").outcome == "GB for GiB"
            assert mark(drill, f"{value / GIB:.6g}").outcome == "no unit"


def test_near_answers_are_right_and_far_ones_wrong(two_hundred: list[Drill]) -> None:
    for drill, value in numbers(two_hundred):
        assert mark(drill, written(drill, value * (1 + drill.tolerance / 2))).outcome == "right"
        assert mark(drill, written(drill, value * 1.4)).outcome == "wrong"
        assert mark(drill, written(drill, value * 2)).outcome == "a factor of two"
        assert mark(drill, written(drill, value * 8)).outcome == "bits"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("15 GiB", "right"),
        ("about 15.0 gib", "right"),
        ("~16.1GB", "right"),
        ("16,106,127,360 bytes", "right"),
        ("15360 MiB", "right"),
        ("15,000 MB", "GB for GiB"),
        ("1.5e1 GiB", "right"),
        ("150 GiB", "tenfold"),
        ("16.1 GiB", "GB for GiB"),
        ("120 GiB", "bits"),
        ("30 GiB", "a factor of two"),
        ("15", "no unit"),
        ("15 parsecs", "wrong unit"),
        ("-15 GiB", "wrong"),
        ("0 GiB", "wrong"),
    ],
)
def test_how_amounts_are_read(answer: str, outcome: str) -> None:
    drill = Drill("weights", "number", "?", (), {}, "memory", 15 * GIB)
    assert mark(drill, answer).outcome == outcome


@pytest.mark.parametrize("answer", ["", "a lot", "GiB"])
def test_what_is_no_number_is_refused_in_one_line(answer: str) -> None:
    drill = Drill("weights", "number", "?", (), {}, "memory", 15 * GIB)
    with pytest.raises(RequestError, match="write an amount with its unit"):
        mark(drill, answer)


def test_an_open_answer_is_marked_by_its_points() -> None:
    drill = next(d for d in drawn(0, 10, ("open",)) if d.text.startswith("What does LoRA save"))
    found = mark(drill, "Gradients and Adam's moments shrink, but the activations stay.")
    assert found.outcome == "partly" and found.share == 3 / 4
    assert found.missed == ("the frozen weights stay in memory",)


def test_topics() -> None:
    assert set(MAKERS) == set(TOPICS)
    assert check_topics(["lora"]) == ("lora",)
    assert {drill.topic for drill in drawn(1, 5, ("lora",))} == {"lora"}
    with pytest.raises(RequestError, match="'lore' is no topic"):
        check_topics(["lore"])
