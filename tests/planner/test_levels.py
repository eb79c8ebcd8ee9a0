"""A plan beside a trace, on storages written by hand: groups, ratios, largest differences, and what a person reads."""

from typing import Any

from planner.answer import CATEGORIES, Plan, Term
from planner.level_terms import group_terms
from planner.levels import Comparison, Row, compare_levels
from planner.report import Table, Text
from planner.report_levels import MAX_ROWS, comparison_report


def term(name: str, category: str, num_bytes: int, formula: str = "constant", **inputs: int) -> Term:
    return Term(name, category, num_bytes, formula, inputs, "forward", "forward", "here", "exact")  # type: ignore[arg-type]


def storage(
    category: str, module: str, dtype: str, shape: tuple[int, ...], count: int, num_bytes: int
) -> dict[str, Any]:
    return {
        "category": category, "module": module, "module_class": "Linear", "dtype": dtype, "shape": list(shape),
        "count": count, "bytes": num_bytes,
    }  # fmt: skip


def groups(terms: list[Term], storages: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {group.name: (group.plan, group.other) for group in group_terms(terms, storages)}


def test_weights_are_told_apart_by_what_they_are_and_by_dtype() -> None:
    terms = [
        term("norm weights (float32)", "weights", 40),
        term("embeddings (float32)", "weights", 60),
        term("adapters (float32)", "weights", 8),
        term("4-bit weights (nf4)", "weights", 32),
        term("4-bit block constants", "weights", 5),
    ]
    storages = [
        storage("weights", "embed.weight", "float32", (3, 5), 1, 60),
        storage("weights", "norm.weight", "float32", (10,), 1, 40),
        storage("weights", "layers.*.q.lora_A.default.weight", "float32", (1, 2), 1, 8),
        storage("weights", "layers.*.q.weight", "uint8", (32, 1), 1, 32),
        storage("weights", "layers.*.q.weight.absmax", "uint8", (1,), 1, 1),
        storage("weights", "layers.*.q.weight.state2.absmax", "float32", (1,), 1, 4),
    ]
    assert groups(terms, storages) == {
        "other weights in float32": (100, 100),
        "4-bit weights": (32, 32),
        "adapters": (8, 8),
        "4-bit block constants": (5, 5),
    }


def test_what_the_step_makes_is_told_apart_by_elements_whatever_the_dtype_and_category() -> None:
    terms = [
        term("input", "activations", 2 * 48 * 3, "2 x B x S x 3 layers", B=2, S=24, times=3),
        term("copy", "workspace", 4 * 48, "4 x B x S", B=2, S=24),
        term("blocks", "workspace", 4 * 2, "4 x B x S / 64", B=2, S=40),
    ]
    storages = [
        storage("activations", "layers.*", "bfloat16", (2, 24), 4, 4 * 96),
        storage("logits", "head", "float32", (48,), 1, 192),
        storage("workspace", "x", "float32", (2,), 1, 8),
        storage("workspace", "y", "bool", (7, 7), 1, 49),
    ]
    assert groups(terms, storages) == {
        "B x S (input, copy)": (288 + 192, 384 + 192),
        "7 x 7 (Linear)": (0, 49),
        "B x S (blocks)": (8, 8),
    }


def test_gradients_and_states_are_one_group_each() -> None:
    terms = [term("adamw states", "optimizer", 16), term("step counters", "optimizer", 4)]
    assert groups(terms, [storage("optimizer", "", "float32", (4,), 1, 16)]) == {"optimizer": (20, 16)}


def plan_of(terms: list[Term], peak: int) -> Plan:
    zero = dict.fromkeys(
        "total_params trainable_params reserved_bytes device_bytes needed_bytes low_bytes high_bytes host_bytes "
        "disk_bytes adapter_bytes runtime_bytes steady_bytes".split(), 0
    )  # fmt: skip
    live = {f"{c}_bytes": sum(t.bytes for t in terms if t.category == c) for c in CATEGORIES}
    return Plan(
        schema_version="1", tool_version="0", model="m", method="full", peak_bytes=peak, peak_phase="forward",
        certainty="exact", terms=tuple(terms), timeline=(), **(zero | live),
    )  # fmt: skip


def comparison(*pairs: tuple[int, int]) -> Comparison:
    """Terms of sizes that differ, each with these bytes at the two levels."""
    terms = [term(f"t{i}", "workspace", plan, "x", n=100 + i) for i, (plan, _) in enumerate(pairs)]
    storages = [storage("workspace", "m", "uint8", (100 + i,), 1, other) for i, (_, other) in enumerate(pairs)]
    storages = [s | {"count": s["bytes"] // s["shape"][0]} for s in storages]
    answer = {
        "level": "trace", "peak_bytes": 1000, "live_bytes": {"workspace": 1000}, "storages": storages,
        "timeline": [{"phase": "forward", "total_bytes": 1000, "live_bytes": {}}],
    }  # fmt: skip
    return compare_levels(plan_of(terms, 1100), answer)


def test_the_three_largest_differences_are_those_of_terms() -> None:
    found = comparison((100, 100), (300, 101), (102, 204), (103, 103 * 7), (104, 208))
    assert [row.name.split()[1] for row in found.largest()] == ["(t3)", "(t1)", "(t4)"]
    assert found.figures == (Row("peak_bytes", 1100, 1000),)
    peak = found.as_dict()["figures"][0]
    assert (peak["difference"], peak["ratio"]) == (100, 1.1)


def test_a_person_sees_the_largest_terms_those_that_differ_and_the_rest_as_one() -> None:
    pairs = [((100 + i) * 50, (100 + i) * 50) for i in range(MAX_ROWS)] + [(108, 216), (109, 109), (110, 110)]
    (table,) = [b for b in comparison_report(comparison(*pairs)) if isinstance(b, Table) and "term by term" in b.title]
    names = [row[0] for row in table.rows]
    assert len(names) == MAX_ROWS + 2
    assert any("(t8)" in name for name in names) and names[-1] == "2 smaller"


def test_where_nothing_differs_it_is_said() -> None:
    *_, last = comparison_report(comparison((100, 100)))
    assert isinstance(last, Text) and last.text == "Plan and trace agree to the byte."
