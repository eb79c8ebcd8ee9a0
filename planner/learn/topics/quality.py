"""What the topic "quality" shows: published evaluations in their own figures; none of ours."""

from collections.abc import Mapping

from planner.catalog.references import find_reference
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question

#: A run with adapters, and what it is held against.
_SCORES: tuple[tuple[str, str], ...] = (
    ("lora-wikisql-lora", "lora-wikisql-full"),
    ("lora-mnli-lora", "lora-mnli-full"),
    ("qlora-ni-lora", "qlora-ni-full"),
    ("qlora-ni-qlora", "qlora-ni-full"),
    ("qlora-mmlu-nf4", "qlora-mmlu-16bit"),
    ("biderman-code-ift-lora16", "biderman-code-ift-full"),
    ("biderman-code-cpt-lora", "biderman-code-cpt-full"),
    ("biderman-math-cpt-lora", "biderman-math-cpt-full"),
    ("biderman-math-ift-lora", "biderman-math-ift-full"),
)


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts = Facts()
    put_question(facts, case)
    facts.cite(q_base="biderman-gsm8k-base", q_full="biderman-math-cpt-full", q_adapter="biderman-math-cpt-lora")
    facts.cite(mmlu_nf="qlora-mmlu-nf4", mmlu_plain="qlora-mmlu-16bit")
    facts.cite(code_full="biderman-code-cpt-full", code_lora="biderman-code-cpt-lora")
    row = find_reference("biderman-math-cpt-lora")
    facts.put("case_where", f"{row.work.partition(',')[0]}, {row.where}", "text", f"cited: {row.key}")
    return facts, {"scores": _scores(facts)}


def _scores(facts: Facts) -> Grid:
    """One row a comparison: both runs by their names and scores, and who reported them."""
    rows = []
    for key, other in _SCORES:
        run, against = find_reference(key), find_reference(other)
        work = run.work.partition(",")[0]
        for name, text in ((f"run_{key}", run.note), (f"against_{key}", against.note), (f"work_{key}", work)):
            facts.put(name, text, "text", f"cited: {other if text == against.note else key}")
        score = cell(facts, f"score_{key}", run.value, "plain", f"cited: {key}")
        rows.append(
            (
                run.note,
                score,
                against.note,
                cell(facts, f"other_{key}", against.value, "plain", f"cited: {other}"),
                work,
            )
        )
    return Grid(("run", "score", "held against", "score", "reported by"), tuple(rows), (1, 3))
