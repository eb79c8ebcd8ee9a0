"""The rows of data/prices.csv, and of price lists that a user keeps."""

from datetime import date
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from planner.answer import DateConfidence
from planner.catalog.rows import Row, Text

Pricing = Literal["on_demand", "spot", "reserved"]
Origin = Literal["shipped", "refreshed", "contract"]


class PriceRow(Row):
    """One offer, in USD an hour."""

    provider: Text
    gpu_key: Text
    gpus_per_instance: PositiveInt
    instance_type: str = ""
    sold_as: Literal["instance", "per_gpu", "part"] = Field(
        description="instance: as it stands; per_gpu: any count up to 8 at this price each; "
        "part: a list price whose host is extra, not stated, or only sold in larger shapes"
    )
    vcpus: PositiveInt | None = None
    ram_gib: PositiveFloat | None = None
    region: str = ""
    region_scope: Text
    price_usd_per_hour_instance: PositiveFloat
    price_usd_per_gpu_hour: PositiveFloat
    pricing: Pricing
    as_of: date | None = Field(None, description="day the price was valid; null: the source has no date")
    as_of_basis: Text = Field(description="how the date, or the lack of one, is known")
    date_confidence: DateConfidence
    derived: bool = Field(description="summed or counted from parts, as the note says")
    cheapest_in_group: bool = Field(description="least price of this provider, card, count and pricing")
    source_url: Text
    collected: date
    note: str = ""
    origin: Origin = Field("shipped", description="the table that ships, a refresh, or the user's own contract")

    @property
    def offer(self) -> tuple[object, ...]:
        """What two rows have in common that price the same thing."""
        return (
            self.origin == "contract",
            self.provider,
            self.gpu_key,
            self.gpus_per_instance,
            self.instance_type,
            self.region,
            self.pricing,
        )

    @property
    def valid_on(self) -> date:
        """The day of the price, or else the day it was collected."""
        return self.as_of or self.collected

    @property
    def is_indicative(self) -> bool:
        """Not to be held against a dated price of an instance one can start: old, or the price of a part."""
        return self.date_confidence == "old" or self.sold_as == "part"
