"""What a table takes for granted: said once beside it, since a cell has no room for it."""

from typing import Any

from planner import __version__
from planner.cost.rate import rate_of
from planner.errors import PlannerError
from planner.parallelism import CARDS_A_NODE
from planner.schema import PlanRequest
from planner.sweep.axes import Axes
from planner.sweep.needed import COUNTS
from planner.sweep.settle import SHARDED, settled


def notes(axes: Axes) -> tuple[tuple[str, str], ...]:
    """(what it is about, text) pairs."""
    return (
        ("what this is", f"estimated by tunebudget {__version__}; nothing here was measured"),
        ("settings of all rows", _settings(axes)),
        ("bytes", "of one card, the one with the most; GiB are 1024^3 bytes"),
        (
            "verdict",
            "fits: the whole 90% band of needs_gib is within usable_gib; tight: the limit lies in the band",
        ),
        (
            "several cards",
            f"{SHARDED} where no strategy is named, none on one card; machines of at most {CARDS_A_NODE} cards where "
            "num_nodes is left open",
        ),
        (
            "gpus_needed",
            f"the smallest of {_counts()} cards whose verdict is fits; the batch is that of each card, as in the row",
        ),
        ("time", "of what fits or is tight; expected, in the middle of its band; tokens are of all cards together"),
        ("prices", _prices(axes)),
    )


def _prices(axes: Axes) -> str:
    """How the cards are paid for, and the days of the prices."""
    requests = [request for count in axes.counts if (request := _request(axes, count)) is not None]
    prices = [rate_of(request, gpu).price for request in requests for gpu in axes.gpus]
    known = [price for price in prices if price is not None]
    dates = sorted(price.as_of for price in known if price.as_of is not None)
    kinds = ", ".join(sorted({price.pricing.replace("_", " ") for price in known})) or "none is known"
    days = f", valid between {dates[0]} and {dates[-1]}" if dates else ""
    return (
        f"{kinds}: of the smallest machines that hold the cards{days}; {len(known) - len(dates)} of {len(prices)} have "
        f"no date, {len(prices) - len(known)} are unknown; storage and traffic are not in them"
    )


def _request(axes: Axes, count: int) -> PlanRequest | None:
    """A request on so many cards, by the first method that has one."""
    for method in axes.methods:
        try:
            return settled(axes.base, next(iter(axes.models)), method, count)
        except PlannerError:
            continue
    return None


def _counts() -> str:
    return f"1 to {CARDS_A_NODE}, {', '.join(str(count) for count in COUNTS[CARDS_A_NODE:])}"


def _settings(axes: Axes) -> str:
    """Fields that the base sets, and the defaults that matter most where it does not."""
    shown = {name: PlanRequest.model_fields[name].default for name in _TOLD} | dict(_flat(axes.base))
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in shown.items()}
    return ", ".join(f"{name} {value}" for name, value in said.items())


_TOLD = ("stack", "dtype", "gradient_checkpointing", "optim", "loss", "attn_implementation", "padding")


def _flat(fields: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found
