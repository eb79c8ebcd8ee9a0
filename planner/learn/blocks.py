"""What a rendered walk-through is made of: the page draws it, the command line writes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph, a list or a quotation, in Markdown."""

    markdown: str


@dataclass(frozen=True, slots=True)
class Formula:
    """One formula in both notations."""

    latex: str
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; cells are Markdown. numbers: columns set right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """What a reader can run: language "console" (a command of this program) or "python"."""

    language: str
    text: str


Block = Heading | Prose | Formula | Grid | Code
