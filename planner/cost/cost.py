"""What a run of some hours costs."""

from dataclasses import dataclass

from planner.answer import Price
from planner.catalog import GpuRow
from planner.cost.rate import SECONDS_PER_HOUR, Number, rate_of
from planner.dataset import DatasetSettings
from planner.schema import PlanRequest


@dataclass(frozen=True, slots=True)
class Cost:
    """The money and energy of a run; usd and price are None where nothing is priced, and missing says why."""

    hours: float
    paid_hours: float
    usd: float | None
    energy_kwh: float | None
    price: Price | None
    missing: str


def cost_of(request: PlanRequest, gpu: GpuRow, num_gpus: int, hours: float) -> Cost:
    """The cost of a run that takes these hours on num_gpus cards, paid for as the request says."""
    rate = rate_of(request, gpu, num_gpus)
    energy = None if rate.kilowatts is None else rate.kilowatts * hours
    return Cost(hours, rate.paid_hours(hours), rate.usd(hours), energy, rate.price, rate.missing)


def train_hours(dataset: DatasetSettings, tokens_per_second: Number) -> Number:
    """Hours for all epochs of the dataset: tokens x epochs / tokens a second / 3600. Arrays give arrays."""
    return dataset.trained_tokens / tokens_per_second / SECONDS_PER_HOUR
