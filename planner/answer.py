"""The answer: one plan as a ledger of named terms, the timeline of a step, and the verdict on a card.

Integers are bytes. The bytes of each category are what is live of it at the peak; they sum to
peak_bytes + runtime_bytes exactly, and the terms sum to them.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from planner.pricing import PricingKind

Category = Literal["weights", "gradients", "optimizer", "activations", "logits", "workspace", "runtime"]
CATEGORIES: tuple[Category, ...] = (
    "weights",
    "gradients",
    "optimizer",
    "activations",
    "logits",
    "workspace",
    "runtime",
)
Phase = Literal[
    "loaded",
    "forward",
    "loss",
    "backward_head",
    "backward_layers",
    "backward_embedding",
    "optimizer_step",
    "between_steps",
]
PHASES: tuple[Phase, ...] = (
    "loaded",
    "forward",
    "loss",
    "backward_head",
    "backward_layers",
    "backward_embedding",
    "optimizer_step",
    "between_steps",
)
#: What a person reads for each phase.
PHASE_NAMES: dict[Phase, str] = {
    "loaded": "model loaded",
    "forward": "forward pass",
    "loss": "loss",
    "backward_head": "backward pass of the head",
    "backward_layers": "backward pass of the layers",
    "backward_embedding": "backward pass of the embedding",
    "optimizer_step": "optimizer step",
    "between_steps": "between steps",
}
Certainty = Literal["exact", "modelled", "fitted", "traced"]
Verdict = Literal["fits", "tight", "does not fit"]
DateConfidence = Literal["dated", "bracketed", "undated", "old"]


#: Dataclasses stand inside a plan, forty and more of them: pydantic reads and writes them as it does models, and they
#: cost half as much to make.
_CONFIG = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


@dataclass(frozen=True, slots=True)
class Term:
    """One named share of the peak: its bytes, the formula, the values put in, where it comes from."""

    __pydantic_config__ = _CONFIG

    name: str
    category: Category
    bytes: int
    formula: str
    inputs: dict[str, int | float | str]
    born: Phase
    freed: Phase
    source: str
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class PhaseBytes:
    """The largest moment of one phase: live bytes by category."""

    __pydantic_config__ = _CONFIG

    phase: Phase
    total_bytes: int
    live_bytes: dict[Category, int]


@dataclass(frozen=True, slots=True)
class TimePart:
    """One share of a step's time; shares sum to step_seconds."""

    __pydantic_config__ = _CONFIG

    name: str
    seconds: float
    formula: str
    source: str


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of the cards costs, and where that is known from."""

    __pydantic_config__ = _CONFIG

    provider: str
    instance: str
    region: str
    pricing: PricingKind
    usd_per_hour: Annotated[float, Field(description="of all instances together, while the run goes on")]
    gpus: Annotated[int, Field(description="cards of all priced instances: may be more than the plan has")]
    instances: int
    as_of: Annotated[date | None, Field(description="day the price was valid; null: the source has no date")]
    date_confidence: DateConfidence
    source: str
    note: str = ""
    collected: Annotated[date | None, Field(description="day the price was seen; null: it is the request's own")] = None


class Plan(BaseModel):
    """The whole estimate for one request."""

    model_config = _CONFIG

    id: str | None = Field(None, description="the request's, echoed")
    schema_version: str = Field(description="raised where a name changes its meaning")
    tool_version: str = Field(description="of the planner that answered")
    model: str = Field(description="id in the catalogue or on the Hub, path, or the config's model_type")
    method: str = Field(description="as in the request")
    total_params: int = Field(description="adapters included; quantized weights count whole")
    trainable_params: int = Field(description="those that the optimizer updates")
    weights_bytes: int = Field(description="live at the peak, as each category; parameters and buffers")
    gradients_bytes: int = Field(description="of parameters, live at the peak")
    optimizer_bytes: int = Field(description="the optimizer's states, live at the peak")
    activations_bytes: int = Field(description="kept for backward or at work, live at the peak")
    logits_bytes: int = Field(description="of head and loss, live at the peak")
    workspace_bytes: int = Field(description="kernels' own, casts and buffers, live at the peak")
    runtime_bytes: int = Field(description="CUDA context; the categories sum to peak_bytes and this")
    peak_bytes: int = Field(description="tensor bytes live at the peak; compare with torch's max_memory_allocated")
    steady_bytes: int = Field(description="live between steps, after zero_grad")
    reserved_bytes: int = Field(description="with the allocator's rounding and fragmentation")
    device_bytes: int = Field(description="with the context: what nvidia-smi shows")
    needed_bytes: int = Field(description="peak, the least slack and context: what verdict and headroom are about")
    peak_phase: Phase = Field(description="of the training step, in which the peak falls")
    low_bytes: int = Field(description="lower end of the 90% band on device_bytes")
    high_bytes: int = Field(description="upper end of the 90% band on device_bytes")
    verdict: Verdict | None = Field(None, description="null where no card is named")
    oom_probability: float | None = Field(None, description="0 to 1, from the band; null where no card is named")
    headroom_bytes: int | None = Field(None, description="usable less needed; negative where it does not fit")
    usable_bytes: int | None = Field(None, description="what a process gets of the card")
    gpu: str | None = Field(None, description="the card's key in the catalogue")
    host_bytes: int = Field(description="CPU memory that a node needs: loading, offload, paged states")
    disk_bytes: int = Field(description="weights to fetch and one checkpoint to keep")
    adapter_bytes: int = Field(description="the trained weights as saved: the adapter, or the whole model")
    certainty: Certainty = Field(description="the least certain of the terms' certainties")
    terms: tuple[Term, ...] = Field(description="the ledger of the peak: they sum to peak_bytes and runtime_bytes")
    timeline: tuple[PhaseBytes, ...] = Field(description="the largest moment of every phase")
    flops_per_step: int | None = Field(
        None,
        description="matrix products, attention and convolutions of one optimizer step, all micro-batches and devices "
        "together; recomputed operations count, causal attention counts as full",
    )
    step_seconds: float | None = Field(
        None, description="of one optimizer step; null where the card's rate is not known"
    )
    step_seconds_low: float | None = Field(None, description="lower end of the 90% band on step_seconds")
    step_seconds_high: float | None = Field(None, description="upper end of the 90% band on step_seconds")
    step_parts: tuple[TimePart, ...] = Field((), description="what step_seconds is made of")
    tokens_per_second: float | None = Field(None, description="of all devices together")
    mfu: float | None = Field(None, description="model FLOPs utilization: recomputed operations do not count")
    hfu: float | None = Field(None, description="hardware FLOPs utilization: recomputed operations count")
    train_hours: float | None = Field(None, description="null where no dataset is given")
    train_hours_low: float | None = Field(None, description="at step_seconds_low")
    train_hours_high: float | None = Field(None, description="at step_seconds_high")
    energy_kwh: float | None = Field(None, description="at the meter: cards, their machine and the site around it")
    cost_usd: float | None = Field(None, description="null where no dataset is given, or nothing is priced")
    cost_usd_low: float | None = Field(None, description="at train_hours_low")
    cost_usd_high: float | None = Field(None, description="at train_hours_high")
    usd_per_million_tokens: float | None = Field(None, description="of training; null where nothing is priced")
    price: Price | None = Field(None, description="null where nothing is priced")
    notes: tuple[str, ...] = Field((), description="what was filled in, assumed or left out")

    @property
    def needed_band(self) -> tuple[int, int]:
        """The 90% band of what is needed: as wide as that of device_bytes."""
        low, high = (edge * self.needed_bytes // self.device_bytes for edge in (self.low_bytes, self.high_bytes))
        return low, high

    @property
    def paged_bytes(self) -> int:
        """Optimizer states that can leave the card and are not held against it; 0 where no card is named."""
        if self.usable_bytes is None or self.headroom_bytes is None:
            return 0
        return self.needed_bytes - (self.usable_bytes - self.headroom_bytes)

    @property
    def resident_bytes(self) -> int:
        """What must stay on the card: what is needed without paged states."""
        return self.needed_bytes - self.paged_bytes

    @property
    def resident_band(self) -> tuple[int, int]:
        """The 90% band of what must stay on the card."""
        low, high = (max(edge - self.paged_bytes, 0) for edge in self.needed_band)
        return low, high

    @property
    def slack_bytes(self) -> int:
        """What the allocator needs beyond the live tensors: rounding and fragmentation."""
        return self.needed_bytes - self.peak_bytes - self.runtime_bytes
