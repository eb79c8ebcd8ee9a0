"""Texts with slots: directives, conditions, and what an unknown name does."""

import pytest

from planner.learn.blocks import Code, Formula, Grid, Heading, Prose
from planner.learn.facts import Facts
from planner.learn.markdown import to_markdown
from planner.learn.template import render

TEXT = """# About {n}

First {n}
second line.

:symbols
n: a count
:if yes
m: another
:end
:end
:formula total = n * m [bytes]
:put total
:if no
Left out: {unknown}.
:else
Kept.
:end
:run plan gpt2 --batch-size {n:plain}
:code python
print({n:plain} * {m:plain})
:end
"""


def facts() -> Facts:
    found = Facts()
    found.put("n", 1500, "count", "request: n")
    found.put("m", 3, "count", "request: m")
    found.flag(yes=True, no=False)
    return found


def test_every_directive_makes_its_block() -> None:
    values = facts()
    assert render(TEXT, values, {}) == [
        Heading("About 1,500", 1),
        Prose("First 1,500\nsecond line."),
        Grid(("symbol", "is", "here"), (("`n`", "a count", "1,500"), ("`m`", "another", "3")), (2,)),
        Formula(r"\mathrm{total} = n \times m", "total = n x m"),
        Formula(
            r"\begin{aligned} \mathrm{total} &= 1{,}500 \times 3 \\ &= 4{,}500\ \text{bytes} \end{aligned}",
            "total = 1,500 x 3 = 4,500 bytes",
        ),
        Prose("Kept."),
        Code("console", "$ tunebudget plan gpt2 --batch-size 1500"),
        Code("python", "print(1500 * 3)"),
    ]
    assert values["total"].value == 4500


def test_a_slot_without_a_fact_is_an_error() -> None:
    with pytest.raises(KeyError):
        render("{unknown}", facts(), {})


def test_markdown_has_latex_for_files_and_one_fence_for_formulas_of_a_terminal() -> None:
    blocks = render(TEXT, facts(), {})
    file, terminal = to_markdown(blocks, "latex"), to_markdown(blocks, "text")
    assert file.count("$$") == 4 and "```text" not in file
    assert "```text\ntotal = n x m\ntotal = 1,500 x 3 = 4,500 bytes\n```" in terminal
    assert "| `n`    | a count | 1,500 |" in terminal


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (3 * 2**30, "bytes", "3.00 GiB"),
        (5 * 2**20, "bytes", "5 MiB"),
        (100, "bytes", "100 bytes"),
        (8_030_261_248, "count", "8.03B"),
        (128_256, "count", "128,256"),
        (0.00522, "share", "0.522%"),
        (0.671, "share", "67.1%"),
        (3.14159, "ratio", "3.14"),
        (2.5e15, "flops", "2.5 PFLOP"),
    ],
)
def test_values_as_a_person_reads_them(value: float, unit: str, shown: str) -> None:
    found = Facts()
    found.put("x", value, unit, "here")
    assert found["x"].shown() == shown
