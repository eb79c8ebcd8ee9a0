"""Claims as people read them: a table of verdicts, and one claim in full."""

from collections.abc import Sequence

from planner.catalog.references import find_reference
from planner.catalog.rows.claim import ClaimRow
from planner.learn.claims.checked import Checked
from planner.learn.claims.checks import check_claim, explanation
from planner.report import Block, Column, Table, Text

_COLUMNS = (
    Column("id"),
    Column("claim"),
    Column("verdict"),
    Column("computed", "number"),
    Column("settings", "number"),
)


def computed(checked: Checked) -> str:
    """The range that the planner computes."""
    low, high = _figure(checked.low), _figure(checked.high)
    figures = low if low == high else f"{low} to {high}"
    return f"{figures} {checked.unit}".strip()


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def stated(row: ClaimRow) -> str:
    """The figures that the claim itself states; empty where it states none."""
    if row.low is None:
        return ""
    high = "" if row.high is None or row.high == row.low else f" to {row.high:,g}"
    return f"{row.low:,g}{high} {row.unit}".strip()


def claims_table(rows: Sequence[ClaimRow]) -> Table:
    """Each claim's verdict beside what is computed."""
    cells = []
    for row in rows:
        checked = check_claim(row.id)
        share = f"{checked.agreeing:,} of {checked.settings:,}"
        cells.append((row.id, row.claim, checked.verdict, computed(checked), share))
    return Table("Common claims, over the settings they leave open", _COLUMNS, tuple(cells))


def claim_report(row: ClaimRow) -> list[Block]:
    """One claim: what it says, the verdict, the settings that make it true, the mistake, and the sources."""
    checked = check_claim(row.id)
    lines = [Text(f"{row.id}: {row.claim}."), Text(f"Verdict: {checked.verdict}."), Text(figures_text(row, checked))]
    if checked.only_if and checked.verdict != "holds":
        lines.append(Text(f"Where it holds: {'; '.join(checked.only_if)}."))
    lines.append(Text(explanation(row.id)))
    if row.leaves_open:
        lines.append(Text(f"It leaves open: {row.leaves_open}.", "note"))
    works = {(find_reference(key).work, find_reference(key).url): None for key in checked.sources}
    lines += [Text(f"Source: {work}, {url}", "note") for work, url in works]
    return list(lines)


def figures_text(row: ClaimRow, checked: Checked) -> str:
    """What the claim states, what is computed or published, and in how many settings they agree."""
    said = f"It states {stated(row)}; " if stated(row) else ""
    trials = "published runs" if checked.basis != "computed" else "settings"
    text = f"{said}{checked.basis} over {checked.settings:,} {trials}: {computed(checked)}."
    return f"{text[0].upper()}{text[1:]} It agrees in {checked.agreeing:,} of them."
