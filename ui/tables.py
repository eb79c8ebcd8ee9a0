"""The Fit page's tables: pure functions from a plan to Arrow's tables, as they are sent.

Without pandas, whose import takes a first visit 0.4 s of CPU, and its conversion longer than the answer itself.
"""

from array import array
from collections.abc import Iterable
from itertools import accumulate

import pyarrow as pa

from planner.answer import CATEGORIES, PHASE_NAMES, Plan
from planner.report import CATEGORY_NAMES
from planner.units import gib
from ui.figures import number

#: The largest integer of a column; a question of absurd size goes beyond it, and is then shown rounded.
_MAX_INTEGER = 2**63 - 1


def ledger_table(plan: Plan) -> pa.Table:
    """The terms live at the peak, one a row, in the plan's order; they sum to the peak and the runtime's own share."""
    terms, total = plan.terms, plan.peak_bytes + plan.runtime_bytes
    columns = {
        "name": _texts(term.name for term in terms),
        "category": _texts(term.category for term in terms),
        "GiB": _shares(gib(term.bytes) for term in terms),
        "share": _shares(term.bytes / total for term in terms),
        "bytes": _counts([term.bytes for term in terms]),
        "formula": _texts(term.formula for term in terms),
        "values": _texts(_put_in(term.inputs) for term in terms),
        "born": _texts(PHASE_NAMES[term.born] for term in terms),
        "freed": _texts(PHASE_NAMES[term.freed] for term in terms),
        "certainty": _texts(term.certainty for term in terms),
        "source": _texts(term.source for term in terms),
    }
    return pa.table(columns)


def _put_in(inputs: dict[str, int | float | str]) -> str:
    return ", ".join(f"{symbol} = {number(value)}" for symbol, value in inputs.items())


def category_table(plan: Plan) -> pa.Table:
    """What the bar shows: bytes of each category at the peak, the allocator's slack, and the whole."""
    parts: dict[str, int] = {CATEGORY_NAMES[category]: getattr(plan, f"{category}_bytes") for category in CATEGORIES}
    parts |= {"allocator's slack": plan.slack_bytes, "on the card": plan.needed_bytes}
    columns = {
        "part": _texts(parts),
        "GiB": _shares(gib(num_bytes) for num_bytes in parts.values()),
        "share": _shares(num_bytes / plan.needed_bytes for num_bytes in parts.values()),
        "bytes": _counts(list(parts.values())),
    }
    return pa.table(columns)


def phase_table(plan: Plan) -> pa.Table:
    """What the timeline shows: GiB live by category at the largest moment of each phase."""
    moments = plan.timeline
    columns = {"phase": _texts(PHASE_NAMES[moment.phase] for moment in moments)}
    for category in CATEGORIES:
        columns[CATEGORY_NAMES[category]] = _shares(gib(moment.live_bytes.get(category, 0)) for moment in moments)
    return pa.table(columns | {"total": _shares(gib(moment.total_bytes) for moment in moments)})


def _texts(values: Iterable[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = array("i", accumulate(map(len, encoded), initial=0))
    return _column(pa.string(), len(encoded), ends, b"".join(encoded))


def _shares(values: Iterable[float]) -> pa.Array:
    numbers = array("d", values)
    return _column(pa.float64(), len(numbers), numbers)


def _counts(counts: list[int]) -> pa.Array:
    """Counts as a column of integers, or of floats where they are too large for one."""
    if max(counts, default=0) <= _MAX_INTEGER:
        return _column(pa.int64(), len(counts), array("q", counts))
    return _shares(counts)


def _column(kind: pa.DataType, length: int, *buffers: "array[int] | array[float] | bytes") -> pa.Array:
    """A column without gaps. pa.array would ask whether it is given something of pandas, and import it for that."""
    return pa.Array.from_buffers(kind, length, [None, *map(pa.py_buffer, buffers)])
