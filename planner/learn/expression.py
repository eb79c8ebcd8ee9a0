"""Formulas: one text, written as Python writes expressions, is computed and shown as LaTeX and as plain text.

Names are symbols: what stands after the first "_" is a subscript. `@` multiplies matrices and is only shown. Functions:
sum (over the entries of its symbols), ceil, max, min, sqrt; transpose, which is only shown too.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

Operand = int | float | tuple[int | float, ...]

_GREEK = {"alpha", "beta", "gamma", "eta", "sigma", "Delta", "lambda"}
_RANK: dict[type[ast.operator], int] = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2, ast.MatMult: 2}
_ATOM = 3


@dataclass(frozen=True, slots=True)
class Notation:
    """How a formula is written."""

    signs: Mapping[type[ast.operator], str]
    call: Mapping[str, str]
    name: Callable[[str], str]
    number: Callable[[str], str]
    fractions: bool


def _latex_name(name: str) -> str:
    head, _, below = name.partition("_")
    head = f"\\{head}" if head in _GREEK else head if len(head) == 1 else f"\\mathrm{{{head}}}"
    return f"{head}_{{\\text{{{below.replace('_', ' ')}}}}}" if below else head


LATEX = Notation(
    signs={ast.Add: " + ", ast.Sub: " - ", ast.Mult: " \\times ", ast.MatMult: "\\, ", ast.Div: ""},
    call={
        "sum": "\\sum {}",
        "ceil": "\\left\\lceil {} \\right\\rceil",
        "max": "\\max\\left({}\\right)",
        "min": "\\min\\left({}\\right)",
        "sqrt": "\\sqrt{{{}}}",
        "transpose": "{}^{{\\top}}",
    },
    name=_latex_name,
    number=lambda text: text.replace(",", "{,}").replace("%", "\\%"),
    fractions=True,
)
#: With numbers put in: fractions on one line, which is narrower.
FLAT_LATEX = replace(LATEX, signs={**LATEX.signs, ast.Div: " / "}, fractions=False)
TEXT = Notation(
    signs={ast.Add: " + ", ast.Sub: " - ", ast.Mult: " x ", ast.MatMult: " ", ast.Div: " / "},
    call={
        "sum": "sum of {}",
        "ceil": "ceil({})",
        "max": "max({})",
        "min": "min({})",
        "sqrt": "sqrt({})",
        "transpose": "{}^T",
    },
    name=lambda name: name,
    number=lambda text: text,
    fractions=False,
)


@cache
def parse(text: str) -> ast.expr:
    """The formula's tree."""
    return ast.parse(text, mode="eval").body


def symbols(text: str) -> list[str]:
    """The names in a formula, in order, each once; functions are none."""
    functions = {id(n.func) for n in ast.walk(parse(text)) if isinstance(n, ast.Call)}
    names = [n for n in ast.walk(parse(text)) if isinstance(n, ast.Name) and id(n) not in functions]
    return list(dict.fromkeys(n.id for n in sorted(names, key=lambda n: n.col_offset)))


# -- computing -------------------------------------------------------------------------------------------------------


def evaluate(text: str, values: Mapping[str, Operand]) -> int | float:
    """The formula's value: whole where it is."""
    result = _value(parse(text), values)
    return int(result) if result == int(result) else result


def _value(node: ast.expr, values: Mapping[str, Operand]) -> int | float:
    if isinstance(node, ast.Name):
        value = values[node.id]
        assert not isinstance(value, tuple), f"{node.id} has several values: it stands in a sum"
        return value
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return node.value
    if isinstance(node, ast.BinOp):
        return _combined(node.op, _value(node.left, values), _value(node.right, values))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), ast.dump(node)
    return _called(node.func.id, node.args, values)


def _combined(sign: ast.operator, left: int | float, right: int | float) -> int | float:
    if isinstance(sign, ast.Add):
        return left + right
    if isinstance(sign, ast.Sub):
        return left - right
    if isinstance(sign, ast.Mult):
        return left * right
    assert isinstance(sign, ast.Div), "matrices are shown, not multiplied"
    exact = isinstance(left, int) and isinstance(right, int) and left % right == 0
    return left // right if exact else left / right


def _called(name: str, arguments: list[ast.expr], values: Mapping[str, Operand]) -> int | float:
    if name == "sum":
        return _sum(arguments[0], values)
    found = [_value(argument, values) for argument in arguments]
    if name == "ceil":
        return math.ceil(found[0])
    if name == "sqrt":
        return math.sqrt(found[0])
    return max(found) if name == "max" else min(found)


def _sum(node: ast.expr, values: Mapping[str, Operand]) -> int | float:
    """Over the entries of the symbols that have several; those that have one value keep it."""
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in values]
    lists = {n: v for n in names if isinstance(v := values[n], tuple)}
    entries = (dict(zip(lists, each, strict=True)) for each in zip(*lists.values(), strict=True))
    return sum(_value(node, {**values, **entry}) for entry in entries)


# -- writing ---------------------------------------------------------------------------------------------------------


def written(text: str, notation: Notation, shown: Mapping[str, str] | None = None) -> str:
    """The formula in a notation; with `shown`, what stands for its symbols (and for whole sums, by their text)."""
    return _text(parse(text), notation, shown)


#: A formula longer than this in plain text is set over several lines in LaTeX, a term each: phones are narrow.
_LINE = 34


def set_latex(name: str, text: str, shown: Mapping[str, str] | None = None, results: Sequence[str] = ()) -> str:
    """An equation in LaTeX: name = formula, each of the results on a line of its own, long sums term by term."""
    notation = LATEX if shown is None else FLAT_LATEX
    lines = [written(text, notation, shown)] if text else []
    if text and len(written(text, TEXT, shown)) > _LINE:
        first, *others = _terms(parse(text))
        lines = [_text(first, notation, shown)]
        lines += [f"\\quad {sign} {_text(term, notation, shown)}" for sign, term in others]
    equals = [*(line if line.startswith("\\quad") else f"= {line}" for line in lines), *(f"= {r}" for r in results)]
    if len(equals) == 1:
        return f"{written(name, LATEX)} {equals[0]}"
    rows = " \\\\ &".join(equals)
    return f"\\begin{{aligned}} {written(name, LATEX)} &{rows} \\end{{aligned}}"


def _terms(node: ast.expr) -> list[Any]:
    """The terms of a sum: the first, then pairs of sign and term."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        sign = "+" if isinstance(node.op, ast.Add) else "-"
        return [*_terms(node.left), (sign, node.right)]
    return [node]


def sums(text: str) -> list[str]:
    """The sums in a formula, as texts: where numbers are put in, a sum stands as its value."""
    calls = [n for n in ast.walk(parse(text)) if isinstance(n, ast.Call)]
    return [ast.unparse(n) for n in calls if isinstance(n.func, ast.Name) and n.func.id == "sum"]


def _text(node: ast.expr, notation: Notation, shown: Mapping[str, str] | None) -> str:
    whole = ast.unparse(node)
    if shown is not None and whole in shown:
        return notation.number(shown[whole])
    if isinstance(node, ast.Name):
        return notation.name(node.id)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        inside = ", ".join(_text(argument, notation, shown) for argument in node.args)
        is_long = node.func.id in ("sum", "transpose") and isinstance(node.args[0], ast.BinOp)
        return notation.call[node.func.id].format(f"({inside})" if is_long else inside)
    assert isinstance(node, ast.BinOp), ast.dump(node)
    return _operation(node, notation, shown)


def _operation(node: ast.BinOp, notation: Notation, shown: Mapping[str, str] | None) -> str:
    if notation.fractions and isinstance(node.op, ast.Div):
        return f"\\frac{{{_text(node.left, notation, shown)}}}{{{_text(node.right, notation, shown)}}}"
    own = _RANK[type(node.op)]
    left, right = _text(node.left, notation, shown), _text(node.right, notation, shown)
    # "a / b x c" can be read in two ways
    unclear = isinstance(node.left, ast.BinOp) and isinstance(node.left.op, ast.Div) and own == _RANK[ast.Mult]
    if _rank(node.left) < own or (unclear and not notation.fractions):
        left = f"({left})"
    strict = isinstance(node.op, (ast.Sub, ast.Div))
    if _rank(node.right) < own or (strict and _rank(node.right) == own and not _is_fraction(node.right, notation)):
        right = f"({right})"
    return f"{left}{notation.signs[type(node.op)]}{right}"


def _is_fraction(node: ast.expr, notation: Notation) -> bool:
    return notation.fractions and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


def _rank(node: ast.expr) -> int:
    return _RANK[type(node.op)] if isinstance(node, ast.BinOp) else _ATOM
