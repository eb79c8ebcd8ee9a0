"""Texts with slots: Markdown in which every number is the fact that a {slot} names.

Lines that start with ":" are directives:
    :formula NAME = EXPRESSION [UNIT]   shown, computed, and the fact NAME from there on
    :equation LEFT = EXPRESSION         shown only (matrices)
    :put NAME                           the formula NAME with the reader's values put in, and its result
    :let NAME = EXPRESSION [UNIT]       computed, not shown
    :symbols ... :end                   a table: each line "NAME: what it is"
    :table NAME                         a table that the topic makes
    :run COMMAND                        a command of this program
    :code LANGUAGE ... :end             code that can be run
    :if NAME ... :else ... :end         by a condition of the topic
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from planner.learn.blocks import Block, Code, Formula, Grid, Heading, Prose
from planner.learn.expression import LATEX, TEXT, evaluate, set_latex, sums, symbols, written
from planner.learn.facts import Fact, Facts

SLOT = re.compile(r"\{([A-Za-z_]\w*)(?::(\w+))?\}")
_FORMULA = re.compile(r"(\w+) = (.+?)(?: \[(\w+)\])?")


@dataclass(slots=True)
class Rendering:
    """Facts and tables of a topic, and the blocks made so far."""

    facts: Facts
    tables: Mapping[str, Grid]
    blocks: list[Block] = field(default_factory=list)
    formulas: dict[str, str] = field(default_factory=dict)


def render(text: str, facts: Facts, tables: Mapping[str, Grid]) -> list[Block]:
    """The blocks of a text with the facts put in; formulas are added to the facts."""
    rendering = Rendering(facts, tables)
    for kind, argument, body in pieces(text, facts):
        _RENDERERS[kind](rendering, argument, body)
    return rendering.blocks


def filled(text: str, facts: Mapping[str, Fact]) -> str:
    """The text with the facts in its slots."""
    return SLOT.sub(lambda slot: facts[slot[1]].shown(slot[2] or ""), text)


# -- reading ---------------------------------------------------------------------------------------------------------

Piece = tuple[str, str, list[str]]
_WITH_BODY = ("symbols", "code")


def pieces(text: str, facts: Mapping[str, Fact]) -> Iterator[Piece]:
    """(kind, argument, body) of each heading, paragraph and directive that the conditions leave.

    Facts are read as the pieces are asked for: a condition can be a fact that a formula before it made.
    """
    lines = iter(text.splitlines())
    conditions: list[bool] = []
    paragraph: list[str] = []
    for line in lines:
        word, _, argument = line[1:].partition(" ") if line.startswith(":") else ("", "", "")
        if paragraph and (not line.strip() or word or line.startswith("#")):
            yield "prose", "", paragraph
            paragraph = []
        if word in ("if", "else", "end"):
            _branch(conditions, word, argument, facts)
            continue
        body = _body(lines) if word in _WITH_BODY else []
        if not all(conditions) or not line.strip():
            continue
        if word:
            yield word, argument, body
        elif line.startswith("#"):
            yield "heading", line, []
        else:
            paragraph.append(line)
    if paragraph:
        yield "prose", "", paragraph


def _branch(conditions: list[bool], word: str, name: str, facts: Mapping[str, Fact]) -> None:
    if word == "if":
        conditions.append(bool(facts[name].value))
    elif word == "else":
        conditions[-1] = not conditions[-1]
    else:
        conditions.pop()


def _body(lines: Iterator[str]) -> list[str]:
    """The lines up to the directive's own :end."""
    body: list[str] = []
    depth = 1
    for line in lines:
        depth += line.startswith(":if ") - (line == ":end")
        if not depth:
            return body
        body.append(line)
    raise AssertionError("a directive without its :end")


def _chosen(body: Sequence[str], facts: Mapping[str, Fact]) -> Iterator[str]:
    """The lines of a body that the conditions in it leave."""
    conditions: list[bool] = []
    for line in body:
        word, _, argument = line[1:].partition(" ") if line.startswith(":") else ("", "", "")
        if word:
            _branch(conditions, word, argument, facts)
        elif all(conditions):
            yield line


# -- writing ---------------------------------------------------------------------------------------------------------


def _heading(r: Rendering, line: str, _: Sequence[str]) -> None:
    marks, _space, text = line.partition(" ")
    r.blocks.append(Heading(filled(text, r.facts), len(marks)))


def _prose(r: Rendering, _: str, body: Sequence[str]) -> None:
    r.blocks.append(Prose(filled("\n".join(body), r.facts)))


def _split(text: str) -> tuple[str, str, str]:
    found = _FORMULA.fullmatch(text)
    assert found is not None, text
    return found[1], found[2], found[3] or "plain"


def _compute(r: Rendering, text: str) -> tuple[str, str]:
    name, expression, unit = _split(text)
    names = {symbol: value for symbol in symbols(expression) if not isinstance(value := r.facts[symbol].value, str)}
    r.facts.put(name, evaluate(expression, names), unit, f"formula: {expression}")
    r.formulas[name] = expression
    return name, expression


def _equation_of(left: str, expression: str) -> Formula:
    return Formula(set_latex(left, expression), f"{written(left, TEXT)} = {written(expression, TEXT)}")


def _formula(r: Rendering, text: str, _: Sequence[str]) -> None:
    r.blocks.append(_equation_of(*_compute(r, text)))


def _equation(r: Rendering, text: str, _: Sequence[str]) -> None:
    left, _sign, expression = text.partition(" = ")
    r.blocks.append(_equation_of(left, expression))


def _let(r: Rendering, text: str, _: Sequence[str]) -> None:
    _compute(r, text)


def _put(r: Rendering, name: str, _: Sequence[str]) -> None:
    fact, expression = r.facts[name], r.formulas[name]
    shown = {symbol: r.facts[symbol].shown("full") for symbol in symbols(expression)}
    values = {s: v for s in symbols(expression) if not isinstance(v := r.facts[s].value, str)}
    for whole in sums(expression):
        if whole not in r.facts:
            r.facts.put(whole, evaluate(whole, values), "plain", f"formula: {whole}")
        shown[whole] = r.facts[whole].shown("full")
    result, short = fact.shown("full"), fact.shown()
    unit = " bytes" if fact.unit == "bytes" else ""
    end = "" if short in (result, f"{result} bytes") else short
    text = written(expression, TEXT, shown)
    middle = "" if text == result else expression
    results = [f"{LATEX.number(result)}\\ \\text{{bytes}}" if unit else LATEX.number(result)]
    results += [f"\\text{{{LATEX.number(end)}}}"] if end else []
    parts = [name, *([text] if middle else []), f"{result}{unit}", *([end] if end else [])]
    r.blocks.append(Formula(set_latex(name, middle, shown, results), " = ".join(parts)))


def _symbols(r: Rendering, _: str, body: Sequence[str]) -> None:
    rows = []
    for line in _chosen(body, r.facts):
        name, _colon, meaning = line.partition(": ")
        value = r.facts[name].shown("full") if name in r.facts and not _is_long(r.facts[name]) else ""
        rows.append((f"`{name}`", filled(meaning, r.facts), value))
    r.blocks.append(Grid(("symbol", "is", "here"), tuple(rows), (2,)))


def _is_long(fact: Fact) -> bool:
    return isinstance(fact.value, tuple)


def _table(r: Rendering, name: str, _: Sequence[str]) -> None:
    r.blocks.append(r.tables[name])


def _run(r: Rendering, command: str, _: Sequence[str]) -> None:
    r.blocks.append(Code("console", f"$ tunebudget {filled(command, r.facts)}"))


def _code(r: Rendering, language: str, body: Sequence[str]) -> None:
    r.blocks.append(Code(language, filled("\n".join(body), r.facts)))


_RENDERERS = {
    "heading": _heading,
    "prose": _prose,
    "formula": _formula,
    "equation": _equation,
    "let": _let,
    "put": _put,
    "symbols": _symbols,
    "table": _table,
    "run": _run,
    "code": _code,
}
