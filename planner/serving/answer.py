"""The answer of serving: a ledger of terms in four parts, what fits, and the same work by whole models.

Integers are bytes.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from planner.answer import Certainty, Verdict

Part = Literal["base", "adapters", "cache", "runtime"]
PARTS: tuple[Part, ...] = ("base", "adapters", "cache", "runtime")

_CONFIG = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


@dataclass(frozen=True, slots=True)
class ServingTerm:
    """One named share of the card's memory: its bytes, the formula, the values put in, where it comes from."""

    __pydantic_config__ = _CONFIG

    name: str
    part: Part
    bytes: int
    formula: str
    inputs: dict[str, int | float | str]
    source: str
    certainty: Certainty


class Serving(BaseModel):
    """The memory of one base with its adapters and sequences."""

    model_config = _CONFIG

    schema_version: str
    tool_version: str
    model: str
    total_params: int = Field(description="of the base")
    num_adapters: int
    adapter_params: int = Field(description="of all adapters together")
    max_num_seqs: int
    max_model_len: int
    base_bytes: int
    adapters_bytes: int
    cache_bytes: int
    runtime_bytes: int = Field(description="context, workspace of a forward pass, the allocator's slack")
    total_bytes: int
    certain_bytes: int = Field(description="without workspace and slack: what is there whatever the engine does")
    cache_bytes_per_token: int = Field(description="of one sequence at its full length, rounded up")
    gpu: str | None = None
    usable_bytes: int | None = None
    headroom_bytes: int | None = None
    verdict: Verdict | None = Field(None, description="null where no card is named")
    largest_num_adapters: int | None = Field(None, description="adapters like the largest; null: none fits, or no card")
    largest_num_seqs: int | None = None
    longest_model_len: int | None = None
    terms: tuple[ServingTerm, ...]
    notes: tuple[str, ...] = ()
