"""Formulas: the value by Python's own arithmetic, and both notations."""

import pytest

from planner.learn.expression import LATEX, TEXT, evaluate, set_latex, symbols, written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * c", 2 + 3 * 5),
        ("(a + b) * c", (2 + 3) * 5),
        ("a - (b - c)", 2 - (3 - 5)),
        ("c / a", 2.5),
        ("b * a / b", 2),
        ("ceil(c / a) + max(a, c) - min(a, c)", 3 + 5 - 2),
        ("a * sum(p * q + a)", 2 * ((1 * 4 + 2) + (7 * 6 + 2))),
        ("sqrt(b * b)", 3),
    ],
)
def test_the_value(text: str, value: float) -> None:
    found = evaluate(text, {"a": 2, "b": 3, "c": 5, "p": (1, 7), "q": (4, 6)})
    assert found == value
    assert isinstance(found, int) == (value == int(value))


def test_large_products_stay_exact() -> None:
    assert evaluate("n * b / b", {"n": 405_853_388_801, "b": 2**40}) == 405_853_388_801


@pytest.mark.parametrize(
    ("text", "plain", "latex"),
    [
        ("W_base * (a + b)", "W_base x (a + b)", r"W_{\text{base}} \times (a + b)"),
        ("a - (b - c)", "a - (b - c)", "a - (b - c)"),
        ("a / (b * c)", "a / (b x c)", r"\frac{a}{b \times c}"),
        ("alpha / r * B @ A", "(alpha / r) x B A", r"\frac{\alpha}{r} \times B\, A"),
        ("transpose(B @ A) @ transpose(x)", "(B A)^T x^T", r"(B\, A)^{\top}\, x^{\top}"),
        ("ceil(n / b) + sum(r * (d + k))", "ceil(n / b) + sum of (r x (d + k))", None),
    ],
)
def test_both_notations(text: str, plain: str, latex: str | None) -> None:
    assert written(text, TEXT) == plain
    assert latex is None or written(text, LATEX) == latex


def test_values_are_put_in_and_sums_stand_as_their_value() -> None:
    shown = {"r": "16", "sum(d + k)": "163,840"}
    assert written("r * sum(d + k)", TEXT, shown) == "16 x 163,840"
    assert written("r * sum(d + k)", LATEX, shown) == r"16 \times 163{,}840"


def test_symbols_stand_once_in_order() -> None:
    assert symbols("b * ceil(a / b) + sum(c)") == ["b", "a", "c"]


def test_long_sums_are_set_term_by_term_and_results_below() -> None:
    long = "first_term * count + second_term * count - third"
    rows = r"\mathrm{M} &= \mathrm{first}_{\text{term}} \times \mathrm{count} \\ &\quad + \mathrm{second}_{\text{term}}"
    assert set_latex("M", "a + b") == "M = a + b"
    assert set_latex("M", "a + b", {"a": "1", "b": "2"}, ["3"]) == r"\begin{aligned} M &= 1 + 2 \\ &= 3 \end{aligned}"
    assert set_latex("M", long).startswith(r"\begin{aligned} " + rows.replace(r"\mathrm{M}", "M"))
    assert set_latex("M", long).endswith(r"\\ &\quad - \mathrm{third} \end{aligned}")
