"""Keep a record whatever the history's state is: what cannot be kept is said, and the run goes on."""

from planner.runs.history import History, HistoryError
from planner.runs.record import Record


def keep(record: Record, history: History | None = None) -> list[str]:
    """Add a record to the history; lines for a person about what went wrong, none where all is well."""
    history = history or History()
    try:
        history.add(record)
    except HistoryError as error:
        return [*history.said, f"this run was not kept: {error.message}"]
    return history.said
