"""This machine's memory as the parent of a run sees it: what is free, and what a child takes.

psutil comes with the extra `profiler`, as all that a run needs; it is imported where it is first needed.
"""

from planner.units import MIB, format_gib

#: Left to the rest of the machine: a run may not take the last of it.
RESERVE_BYTES = 512 * MIB


def available_bytes() -> int:
    """Host memory that a new process can have without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def process_bytes(pid: int) -> int:
    """Resident memory of a process and its children; 0 once it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return sum(_rss(p) for p in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _rss(process: object) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)  # type: ignore[attr-defined]
    except psutil.Error:
        return 0


class Watch:
    """Asked again and again while a child runs: the line that ends it, or None; remembers the most it saw."""

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self.highest_bytes = 0

    def __call__(self, pid: int) -> str | None:
        """Look at the child once."""
        now = process_bytes(pid)
        self.highest_bytes = max(self.highest_bytes, now)
        if now <= self.limit_bytes:
            return None
        return (
            f"stopped at {format_gib(now, 2)} of process memory: the limit is {format_gib(self.limit_bytes, 2)}; "
            "use a smaller request, or allow more memory"
        )
