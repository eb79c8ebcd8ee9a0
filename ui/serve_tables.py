"""The Serve page's tables: pure functions to DataFrames."""

from collections.abc import Sequence

import pandas as pd

from planner.report_serving import PART_NAMES, money_cells
from planner.serving.answer import Serving, ServingTerm
from planner.serving.scenario import Way
from planner.units import format_count, gib
from ui.figures import number


def ledger_frame(terms: Sequence[ServingTerm], found: Serving) -> pd.DataFrame:
    """The terms, one a row, which sum to the total."""
    rows = [
        (
            term.name,
            PART_NAMES[term.part],
            gib(term.bytes),
            term.bytes / found.total_bytes,
            term.bytes,
            term.formula,
            ", ".join(f"{symbol} = {number(value)}" for symbol, value in term.inputs.items()),
            term.certainty,
            term.source,
        )
        for term in terms
    ]
    names = ["name", "part", "GiB", "share", "bytes", "formula", "values", "certainty", "source"]
    return pd.DataFrame(rows, columns=names)


def ways_frame(both: Sequence[Way]) -> pd.DataFrame:
    """Both ways, one a column: a phone shows two columns, not eight."""
    money = [money_cells(way) for way in both]
    costs = {
        "training all, hours": [hours for hours, _ in money],
        "training all, USD": [usd for _, usd in money],
    }
    rows = {
        "parameters trained a tenant": [format_count(way.trained_params) for way in both],
        "training one tenant, GiB": [f"{gib(way.training_bytes):,.1f}" for way in both],
        **(costs if any(way.train_hours is not None for way in both) else {}),
        "files of all, GiB": [f"{gib(way.storage_bytes):,.1f}" for way in both],
        "weights on the cards, GiB": [f"{gib(way.weights_bytes):,.1f}" for way in both],
        "all on one card, GiB": [f"{gib(way.serving_bytes):,.1f}" for way in both],
        "tenants a card": [_count(way.tenants_per_card) for way in both],
        "cards": [_count(way.cards) for way in both],
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[way.name for way in both])
    return frame.reset_index(names="")


def _count(value: int | None) -> str:
    return "none fits" if value is None else f"{value:,}"
