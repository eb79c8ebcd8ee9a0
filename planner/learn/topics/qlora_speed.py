"""What the topic "qlora-speed" shows: a step of LoRA and one of QLoRA on the same card, part by part."""

from collections.abc import Mapping

from planner.catalog import find_gpu
from planner.errors import RequestError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.learn.topics.dequantization import put_passes
from planner.throughput.answer import StepTime
from planner.throughput.timed import step_time_of

MS = 1000
_SIZES = ((1, 512), (1, 2048), (4, 2048), (8, 4096))


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic.

    Raises RequestError where the card's rates are not known.
    """
    facts = Facts()
    lora = case.changed(method="lora")
    put_question(facts, case)
    card = find_gpu(str(case.request.gpu))
    facts.put("card", card.name, "text", "request: gpu")
    facts.put("gpu", card.key, "text", "request: gpu")
    slow, fast = timed(case), timed(lora)
    facts.put("t_qlora", slow.expected_seconds, "seconds", "plan (qlora): step_seconds")
    facts.put("t_lora", fast.expected_seconds, "seconds", "plan (lora): step_seconds")
    facts.put("low", slow.low_seconds, "seconds", "plan (qlora): step_seconds_low")
    facts.put("high", slow.high_seconds, "seconds", "plan (qlora): step_seconds_high")
    facts.put("t_dequant", _seconds(slow, "dequantization"), "seconds", "plan (qlora): the part of that name")
    assert card.mem_bandwidth_gb_s is not None
    facts.put("R_memory", card.mem_bandwidth_gb_s * 10**9, "count", "catalogue: mem_bandwidth_gb_s")
    put_passes(facts, case)
    tables = {"parts": _parts(facts, fast, slow), "sizes": _sizes(facts, lora, case)}
    ratios = [fact.value for name, fact in facts.items() if name.endswith("_times")]
    facts.flag(has_below=any(isinstance(ratio, float) and ratio < 1 for ratio in ratios))
    return facts, tables


def timed(case: Case) -> StepTime:
    """The expected time of the case's step.

    Raises RequestError where the card's rates are not known.
    """
    gpu = find_gpu(str(case.request.gpu))
    if gpu.mem_bandwidth_gb_s is None or case.plan.step_seconds is None:
        raise RequestError(f"gpu {gpu.key!r}: no rates are known, so no time: take another card", "gpu")
    return step_time_of(case.request, gpu)


def _seconds(step: StepTime, name: str) -> float:
    return sum(float(part.seconds) for part in step.parts if part.name == name)


def _parts(facts: Facts, fast: StepTime, slow: StepTime) -> Grid:
    names = list(dict.fromkeys(part.name for part in (*fast.parts, *slow.parts)))
    rows = []
    for number, name in enumerate(names):
        values = [_seconds(step, name) * MS for step in (fast, slow)]
        if max(values) >= 0.05:
            cells = (cell(facts, f"part_{number}_{i}", v, "two", "plan: a part") for i, v in enumerate(values))
            rows.append((name, *cells))
    totals = (fast.expected_seconds * MS, slow.expected_seconds * MS)
    cells = (cell(facts, f"total_{i}", v, "two", "plan: step_seconds") for i, v in enumerate(totals))
    rows.append(("a step", *cells))
    return Grid(("part", "LoRA ms", "QLoRA ms"), tuple(rows), (1, 2))


def _sizes(facts: Facts, lora: Case, qlora: Case) -> Grid:
    rows = []
    for number, (batch, length) in enumerate(_SIZES):
        size = {"per_device_train_batch_size": batch, "max_length": length}
        try:
            times = [timed(case.changed(**size)).expected_seconds for case in (lora, qlora)]
        except RequestError:
            continue  # longer than the model has positions for
        origin = "request of a variant"
        tokens = " x ".join(cell(facts, f"size_{number}_{n}", v, "count", origin) for n, v in size.items())
        cells = (cell(facts, f"size_{number}_{i}", v * MS, "two", "plan: step_seconds") for i, v in enumerate(times))
        rows.append((tokens, *cells, cell(facts, f"size_{number}_times", times[1] / times[0], "ratio", "QLoRA / LoRA")))
    return Grid(("tokens", "LoRA ms", "QLoRA ms", "times"), tuple(rows), (1, 2, 3))
