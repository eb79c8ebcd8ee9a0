"""The answer: one plan as a ledger of named terms, the timeline of a step, and the verdict on a card.

Integers are bytes. The bytes of each category are what is live of it at the peak; they sum to
peak_bytes + runtime_bytes exactly, and the terms sum to them.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Plan(BaseModel):
    """The whole estimate for one request."""

    model_config = _CONFIG

    id: str | None = None
    schema_version: str
    tool_version: str
    model: str
    method: str
    total_params: int
    trainable_params: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    logits_bytes: int
    workspace_bytes: int
    runtime_bytes: int
    peak_bytes: int = Field(description="tensor bytes live at the peak; compare with torch's max_memory_allocated")
    steady_bytes: int = Field(description="live between steps, after zero_grad")
    reserved_bytes: int = Field(description="with the allocator's rounding and fragmentation")
    device_bytes: int = Field(description="with the context: what nvidia-smi shows")
    peak_phase: Phase
    low_bytes: int = Field(description="lower end of the 90% band on device_bytes")
    high_bytes: int = Field(description="upper end of the 90% band on device_bytes")
    verdict: Verdict | None = Field(None, description="null where no card is named")
    oom_probability: float | None = None
    headroom_bytes: int | None = None
    usable_bytes: int | None = None
    gpu: str | None = None
    host_bytes: int
    disk_bytes: int
    adapter_bytes: int = Field(description="the trained weights as saved: the adapter, or the whole model")
    certainty: Certainty = Field(description="the least certain of the terms' certainties")
    terms: tuple[Term, ...]
    timeline: tuple[PhaseBytes, ...]
    notes: tuple[str, ...] = ()
