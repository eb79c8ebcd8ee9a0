"""The answer's fields about money: what is known of them, with the notes that go with it."""

from dataclasses import dataclass
from typing import Any

from planner.answer import Price
from planner.catalog import GpuRow
from planner.cost.break_even import break_even
from planner.cost.cost import train_hours
from planner.cost.rate import Rate, rate_of
from planner.parallelism import data_parallel_size
from planner.schema import PlanRequest


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of all devices together: as expected, and the slow and fast end of the band."""

    expected: float
    slow: float
    fast: float


def money_fields(request: PlanRequest, gpu: GpuRow | None, speed: Speed | None) -> tuple[dict[str, Any], list[str]]:
    """Fields of the plan (price, hours, energy, cost), and notes.

    speed None: the price alone. Without a dataset: no hours and no cost of the run.
    """
    if gpu is None:
        return {}, _unused(request)
    rate = rate_of(request, gpu)
    fields: dict[str, Any] = {"price": rate.price}
    notes = [rate.missing] if rate.missing else []
    if speed is None:
        return fields, notes
    fields["usd_per_million_tokens"] = rate.usd_per_million_tokens(speed.expected)
    if request.dataset is not None:
        hours = tuple(train_hours(request.dataset, tokens) for tokens in (speed.expected, speed.fast, speed.slow))
        fields |= _run_fields(rate, *hours)
        notes += [*_run_notes(request, gpu, rate, rate.price, hours[0]), *_length_notes(request)]
    return fields, notes


def _unused(request: PlanRequest) -> list[str]:
    given = [name for name in ("dataset", "pricing") if getattr(request, name) is not None]
    return [f"{' and '.join(given)}: not used: no card is named (gpu), so there are no hours and no price"] * bool(
        given
    )


def _run_fields(rate: Rate, hours: float, low: float, high: float) -> dict[str, Any]:
    return {
        "train_hours": hours,
        "train_hours_low": low,
        "train_hours_high": high,
        "energy_kwh": None if rate.kilowatts is None else rate.kilowatts * hours,
        "cost_usd": rate.usd(hours),
        "cost_usd_low": rate.usd(low),
        "cost_usd_high": rate.usd(high),
    }


def _against_renting(request: PlanRequest, gpu: GpuRow) -> list[str]:
    """After how many hours of work the owned cards have cost less than rented ones, where any are priced."""
    found = break_even(request, gpu)
    if isinstance(found, str):
        return []
    rent = f"renting at {found.rent.provider} for {found.rent_usd_per_hour:.2f} USD an hour"
    if found.hours is None or not found.pays_off:
        return [f"owned: dearer than {rent} over all {found.working_hours:,.0f} hours of work"]
    return [f"owned: cheaper than {rent} after {found.hours:,.0f} of {found.working_hours:,.0f} hours of work"]


def _short_notes(request: PlanRequest, tokens: float) -> list[str]:
    sequences = request.per_device_train_batch_size * request.gradient_accumulation_steps * data_parallel_size(request)
    step = sequences * request.max_length
    if tokens >= step:
        return []
    return [f"dataset: {tokens:,.4g} tokens are less than the {step:,} of one step: hours and USD are that share of it"]


def _length_notes(request: PlanRequest) -> list[str]:
    """What the count of tokens leaves out where examples are of another length than the step's."""
    dataset, longest = request.dataset, request.max_length
    if dataset is None:
        return []
    if dataset.mean_length is None:
        return _short_notes(request, dataset.trained_tokens)
    if dataset.mean_length > longest:
        return [
            f"dataset: examples of {dataset.mean_length:g} tokens are longer than max_length {longest}: trainers cut "
            "them, or packing splits them; all their tokens are counted"
        ]
    if request.padding == "padded":
        most = longest / dataset.mean_length
        return [f"dataset: padding is not counted; batches that are padded to max_length take {most:.2g} times as long"]
    return []


def _run_notes(request: PlanRequest, gpu: GpuRow, rate: Rate, price: Price | None, hours: float) -> list[str]:
    if price is None:
        return []
    paid = rate.paid_hours(hours)
    if price.pricing == "spot":
        return [
            f"spot: {rate.lost_share:.0%} of {paid:,.3g} paid hours go to interruptions (pricing.restart_allowance)"
        ]
    if price.pricing == "reserved":
        return [f"reserved: {paid:,.0f} hours are paid, in whole months"]
    if price.pricing == "owned":
        return [f"owned: {price.note}", *_against_renting(request, gpu)]
    return []
