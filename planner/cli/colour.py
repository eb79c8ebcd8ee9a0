"""Writes a report on a terminal; imported only there, because rich takes time to import."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text as RichText

from planner.report import Block, Column, Table, Text

_STYLES: dict[str, str] = {
    "fits": "bold green",
    "tight": "bold yellow",
    "does not fit": "bold red",
    "text": "",
    "note": "dim",
}


def print_colour(blocks: Iterable[Block]) -> None:
    """Write blocks in colour, tables fitted to the terminal."""
    console = Console(highlight=False)
    for block in blocks:
        if isinstance(block, Text):
            console.print(RichText(block.text, _STYLES[block.style]))
        else:
            console.print()
            console.print(_table(block))


def print_laid_out(markdown: str) -> None:
    """Write Markdown with its headings, lists and tables laid out."""
    from rich.markdown import Markdown

    Console().print(Markdown(markdown))


def _table(table: Table) -> RichTable:
    rich = RichTable(title=table.title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in table.columns:
        rich.add_column(
            column.heading, justify="right" if column.kind == "number" else "left", no_wrap=column.kind != "text"
        )
    for row in table.rows:
        cells = (_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        rich.add_row(*cells)
    return rich


def _cell(cell: str, column: Column) -> RichText:
    if column.kind == "bar":
        return RichText(cell.replace("#", "\u2588"), "blue")
    return RichText(cell, _STYLES.get(cell, ""))


#: What rich shows by default: what is done, the bar, the share; without a guess of the time that remains.
_BAR = Progress.get_default_columns()[:3]


@contextmanager
def terminal_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on stderr, gone at its end; the function given tells it: done, of, what comes now."""
    with Progress(*_BAR, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, of: int, what: str) -> None:
            bar.update(task, completed=done, total=of, description=what)

        yield show
