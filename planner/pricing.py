"""How the cards are paid for: the section of the request that turns hours into money.

Values left open take those of data/ownership.csv, each with its source, and the prices of data/prices.csv.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

PricingKind = Literal["on_demand", "spot", "reserved", "owned"]

Usd = Annotated[float, Field(ge=0, le=10**12, allow_inf_nan=False)]
Watt = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)]


class PricingSettings(BaseModel):
    """Rented (on demand, spot, reserved by the month) or owned, and the terms of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: PricingKind = Field("on_demand", description="rented by the hour, spot, by the month, or owned")
    provider: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="null: the cheapest"
    )
    usd_per_gpu_hour: Usd | None = Field(None, description="your own price of a rented card, before any list's")
    restart_allowance: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = Field(
        None, description="share of spot hours lost to interruptions and restarts"
    )
    purchase_price_usd: Usd | None = Field(None, description="of one owned card; null: its launch price")
    host_price_usd: Usd | None = Field(None, description="of one owned machine without its cards")
    useful_life_years: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)] | None = Field(
        None, description="years over which owned hardware is written off"
    )
    power_w: Watt | None = Field(None, description="drawn by one owned card at work; null: a share of its TDP")
    host_power_w: Watt | None = Field(None, description="drawn by the machine around each owned card")
    power_usage_effectiveness: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False)] | None = Field(
        None, description="power of the site for each watt of its machines"
    )
    electricity_usd_per_kwh: Usd | None = Field(None, description="price of electricity")
    utilization: Share | None = Field(None, description="share of all hours in which owned cards work")

    @model_validator(mode="after")
    def _only_what_is_read(self) -> "PricingSettings":
        if self.restart_allowance is not None and self.kind != "spot":
            raise ValueError(f"pricing: restart_allowance with {self.kind!r}: only 'spot' instances are taken away")
        if self.usd_per_gpu_hour is not None and (self.kind == "owned" or self.provider is not None):
            raise ValueError("pricing: usd_per_gpu_hour is a rented card's own price: leave provider out, and 'owned'")
        return self
