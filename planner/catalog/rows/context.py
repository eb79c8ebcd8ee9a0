"""The rows of data/contexts.csv: what a process was seen to hold on its card outside torch's allocator."""

from datetime import date

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from planner.catalog.rows import Row, Text


class ContextRow(Row):
    """One posted figure, with lazy module loading (CUDA 11.7 and newer).

    context_mib: of an out-of-memory text, what the process has in use less what torch allocated and cached, in the
    text's own figures beside it; or what the driver showed of a process that holds nothing else.
    """

    compute_capability: PositiveFloat
    card: Text
    context_mib: PositiveInt
    in_use_gib: PositiveFloat | None = None
    allocated_gib: PositiveFloat | None = None
    unallocated_mib: NonNegativeFloat | None = None
    source_url: Text
    as_of: date
    note: str = ""
