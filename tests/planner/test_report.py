"""What a person reads: the sentences of each verdict, and tables whose parts sum to the whole."""

from datetime import date
from typing import Any

import pytest

from planner.answer import PHASES, Plan
from planner.estimate import estimate
from planner.report import (
    BAR_WIDTH,
    Table,
    Text,
    answer,
    comparison_table,
    ledger_table,
    limits_text,
    needs_text,
    parts_table,
    plan_report,
    tight_text,
    timeline_table,
)
from planner.schema import PlanRequest, parse_request
from planner.units import GIB


def asked(**fields: Any) -> tuple[PlanRequest, Plan]:
    request = parse_request({"model": "llama-3.2-1b", "method": "lora", "gpu": "l4"} | fields)
    return request, estimate(request)


def judged(verdict: str, needs: float, usable: float, **fields: Any) -> Plan:
    """A plan with this verdict, in GiB."""
    values = {
        "verdict": verdict,
        "device_bytes": int(needs * GIB),
        "needed_bytes": int(needs * GIB),
        "low_bytes": int(0.9 * needs * GIB),
        "high_bytes": int(1.1 * needs * GIB),
        "usable_bytes": int(usable * GIB),
        "headroom_bytes": int(usable * GIB) - int(needs * GIB),
        "oom_probability": 0.25,
    }
    return asked()[1].model_copy(update=values | fields)


def lines(report: tuple[object, ...]) -> list[str]:
    return [block.text for block in report if isinstance(block, Text)]


def column(table: Table, heading: str) -> list[str]:
    place = [c.heading for c in table.columns].index(heading)
    return [row[place] for row in table.rows]


@pytest.mark.parametrize(
    ("verdict", "needs", "expected"),
    [
        ("fits", 10, "It needs 10.0 GiB (estimated; 9.0 to 11.0 GiB); the card offers 23.0 GiB: 13.0 GiB left."),
        (
            "tight",
            22,
            "It needs 22.0 GiB (estimated; 19.8 to 24.2 GiB); the card offers 23.0 GiB, within the band: it "
            "probably fits, with a chance to fit of 75%.",
        ),
        (
            "does not fit",
            40,
            "It needs 40.0 GiB (estimated; 36.0 to 44.0 GiB); the card offers 23.0 GiB: 17.0 GiB too little.",
        ),
    ],
)
def test_each_verdict_has_its_sentence(verdict: str, needs: float, expected: str) -> None:
    assert needs_text(judged(verdict, needs, 23)) == expected


@pytest.mark.parametrize(
    ("chance_to_run_out", "words"),
    [
        (0.07, "it probably fits, with a chance to fit of 93%"),
        (0.83, "it probably does not fit, with a chance to fit of 17%"),
        (None, "it may fit or run out of memory"),  # calibrated plans have no fitted band
    ],
)
def test_tight_says_which_way_it_leans(chance_to_run_out: float | None, words: str) -> None:
    plan = judged("tight", 22, 23, oom_probability=chance_to_run_out)
    assert tight_text(plan) == words
    assert words in needs_text(plan)
    assert needs_text(plan, names_stack=False).endswith("no stack is named (--stack).")


def test_paged_states_are_named_where_they_are_not_held_against_the_card() -> None:
    plan = judged("fits", 40, 23, headroom_bytes=3 * GIB)
    assert needs_text(plan) == (
        "It needs 20.0 GiB (estimated; 16.0 to 24.0 GiB) beside 20.0 GiB of paged optimizer states that can leave the "
        "card; the card offers 23.0 GiB: 3.0 GiB left."
    )


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "meta-llama/Llama-3.2-1B, lora, 1 x 1,024 tokens, on one L4: fits."),
        (
            {"gradient_checkpointing": True, "per_device_train_batch_size": 2},
            "meta-llama/Llama-3.2-1B, lora, 2 x 1,024 tokens, gradient checkpointing, on one L4: fits.",
        ),
        ({"gpu": None, "device": "cpu"}, "meta-llama/Llama-3.2-1B, lora, 1 x 1,024 tokens, on the CPU."),
        ({"gpu": None}, "meta-llama/Llama-3.2-1B, lora, 1 x 1,024 tokens."),
        (
            {"num_gpus": 4, "parallelism": {"strategy": "ddp"}, "max_length": 128},
            "meta-llama/Llama-3.2-1B, lora, 1 x 128 tokens, on each of 4 x L4: fits.",
        ),
    ],
)
def test_the_first_line_is_the_answer(fields: dict[str, Any], title: str) -> None:
    request, plan = asked(**fields)
    assert lines(answer(request, plan, "L4" if request.gpu else None))[0] == title


@pytest.mark.parametrize("phase", PHASES)
def test_the_phase_of_the_peak_reads_as_a_sentence(phase: str) -> None:
    request, plan = asked()
    text = lines(answer(request, plan.model_copy(update={"peak_phase": phase}), "L4"))[1]
    assert text.endswith(".")
    assert "The peak falls in the between" not in text


@pytest.mark.parametrize(
    ("batch", "length", "expected"),
    [
        (7, 9000, "Largest batch that fits at 1,024 tokens: 7. Longest sequence that fits at batch 1: 9,000 tokens."),
        (None, 500, "At 1,024 tokens no batch fits. Longest sequence that fits at batch 1: 500 tokens."),
        (None, None, "At batch 1 no sequence fits, however short."),
    ],
)
def test_what_fits(batch: int | None, length: int | None, expected: str) -> None:
    assert limits_text(asked()[0], batch, length) == expected


def test_what_fits_at_a_larger_batch() -> None:
    request = asked(per_device_train_batch_size=4)[0]
    text = limits_text(request, 2, None)
    assert text == "At batch 4 no sequence fits, however short. Largest batch that fits at 1,024 tokens: 2."


def test_the_parts_sum_to_the_total() -> None:
    table = parts_table(asked()[1])
    *parts, total = [float(cell) for cell in column(table, "GiB")]
    assert sum(parts) == pytest.approx(total, abs=0.005 * len(parts))
    assert column(table, "part")[-1] == "total"
    assert column(table, "")[-1] == "#" * BAR_WIDTH


def test_the_ledger_shows_every_term_to_the_byte() -> None:
    plan = asked()[1]
    table = ledger_table(plan)
    shown = [int(cell.replace(",", "")) for cell in column(table, "bytes")]
    assert shown == [term.bytes for term in plan.terms]
    assert all(column(table, "formula"))
    assert all(column(table, "source"))


def test_the_timeline_shows_every_phase() -> None:
    plan = asked()[1]
    assert len(timeline_table(plan).rows) == len(plan.timeline)


def test_the_whole_report_says_which_level_its_figures_are_of() -> None:
    request, plan = asked()
    report = plan_report(request, plan, "L4", date(2026, 11, 24))
    assert any("estimated" in line for line in lines(report))
    assert lines(report)[-len(plan.notes) :] == [f"Note: {note}" for note in plan.notes] or not plan.notes


def test_a_comparison_without_a_card_has_no_verdict() -> None:
    plans = [asked(gpu=None, method=method)[1] for method in ("full", "lora")]
    headings = [c.heading for c in comparison_table(plans).columns]
    assert headings == ["method", "trains", "needs GiB", "90% band"]
    assert "verdict" in [c.heading for c in comparison_table([asked()[1]]).columns]
