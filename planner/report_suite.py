"""What a person reads of a suite: sentences and tables, as text, Markdown and HTML with charts."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from planner.report import Block, Column, Report, Table, Text
from planner.report_chart import bars
from planner.runs.record import Record, peak_ratio
from planner.runs.suite import Summary
from planner.units import gib

_COLUMNS = (
    Column("run"),
    Column("status"),
    Column("estimated MiB", "number"),
    Column("measured MiB", "number"),
    Column("allocator MiB", "number"),
    Column("plan/measured", "number"),
    Column("s/step", "number"),
    Column("tokens/s", "number"),
    Column("GFLOP/s", "number"),
    Column("followed/free", "number"),
)
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}"""


def suite_report(records: Sequence[Record], summary: Summary) -> Report:
    """How near the plan was, then every run."""
    table = Table("Runs", _COLUMNS, tuple(_cells(record) for record in records))
    return (Text(_headline(summary)), Text(_costs(summary)), table, *_where(records))


def _headline(summary: Summary) -> str:
    if summary.median_error is None or summary.worst_error is None:
        return f"None of {summary.num_runs} runs ended with an answer."
    failed = f"; {summary.num_failed} failed" if summary.num_failed else ""
    return (
        f"{summary.num_runs} runs{failed}: the plan's peak is off the measured one by {summary.median_error:.4%} in "
        f"the median, {summary.worst_error:.4%} at worst; its bytes between steps by "
        f"{summary.median_steady_error:.4%} in the median."
    )


def _costs(summary: Summary) -> str:
    parts = [f"{ratio:.2f} times a free step on {model}" for model, ratio in summary.followed_over_free.items()]
    return f"Following every storage costs {', '.join(parts)} (median); times below are of free steps."


def _where(records: Sequence[Record]) -> list[Text]:
    done = next((record for record in records if record["status"] == "done"), None)
    if done is None:
        return []
    versions = ", ".join(f"{library} {number}" for library, number in done["versions"].items())
    return [Text(f"Measured on {done['hardware']['name']} ({done['hardware']['device']}) with {versions}.", "note")]


def _cells(record: Record) -> tuple[str, ...]:
    if record["status"] != "done":
        return (str(record["id"]), record["status"], *[""] * (len(_COLUMNS) - 2))
    allocator = record.get("allocator_peak_bytes")
    return (
        str(record["id"]),
        "done",
        f"{_mib(record['plan']['peak_bytes']):.2f}",
        f"{_mib(record['peak_bytes']):.2f}",
        "" if allocator is None else f"{_mib(allocator):.2f}",
        f"{peak_ratio(record):.5f}",
        f"{record['step_seconds_median']:.3g}",
        f"{record['tokens_per_second']:,.0f}",
        f"{record['flops_per_second'] / 1e9:.3g}",
        f"{record['followed_step_seconds'] / record['step_seconds_median']:.2f}",
    )


def _mib(num_bytes: int) -> float:
    return gib(num_bytes) * 1024


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The report as Markdown."""
    parts = [f"# {title}"]
    for block in blocks:
        parts.append(block.text if isinstance(block, Text) else _markdown_table(block))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    head = "| " + " | ".join(column.heading for column in table.columns) + " |"
    rule = "| " + " | ".join("---:" if column.kind == "number" else "---" for column in table.columns) + " |"
    rows = ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([f"## {table.title}\n" if table.title else "", head, rule, *rows]).strip()


def html(title: str, blocks: Sequence[Block], records: Sequence[Record]) -> str:
    """The report as one HTML file with its charts inside; it needs no network."""
    done = [record for record in records if record["status"] == "done"]
    charts = _charts(done)
    body = [f"<h1>{escape(title)}</h1>"]
    for block in blocks:
        body.append(f"<p>{escape(block.text)}</p>" if isinstance(block, Text) else charts + _html_table(block))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>{''.join(body)}</html>\n"
    )


def _charts(done: Sequence[Mapping[str, Any]]) -> str:
    names = [str(record["id"]) for record in done]
    peaks = {
        "estimated": [_mib(record["plan"]["peak_bytes"]) for record in done],
        "measured": [_mib(record["peak_bytes"]) for record in done],
    }
    times = {
        "free step": [record["step_seconds_median"] for record in done],
        "followed step": [record["followed_step_seconds"] for record in done],
    }
    return bars("Peak of tensor bytes, MiB", names, peaks) + bars("Seconds a step", names, times)


def _html_table(table: Table) -> str:
    kinds = [' class="number"' if column.kind == "number" else "" for column in table.columns]
    head = "".join(f"<th{kind}>{escape(c.heading)}</th>" for kind, c in zip(kinds, table.columns, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>"
