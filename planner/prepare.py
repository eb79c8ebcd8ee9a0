"""What of an answer does not depend on batch and length: model, setup, weights, gradients and states.

Kept for the requests of a stream or a sweep that differ in nothing else.
"""

import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from planner.architecture.blocks import Linear
from planner.architecture.releases import as_of
from planner.memory.dims import Number
from planner.memory.inventory import Setup, inventory, resolve_setup
from planner.memory.layout import Layout, evaluate, lay_out, representative
from planner.memory.moments import Static, static_bytes
from planner.memory.pipeline import Stage, stage_items, stages_of
from planner.memory.regularizer import waits_for_layers
from planner.memory.step import Step
from planner.memory.structure import Regime, regime_of
from planner.resolve import Model, load_model
from planner.schema import PlanRequest
from planner.stacks import Stacked, in_stack
from planner.switches import Switches

#: Fields on which nothing here depends: a prepared request has them at these values.
OPEN: dict[str, Any] = {
    "id": None,
    "gpu": None,
    "per_device_train_batch_size": 1,
    "max_length": 1,
    "gradient_accumulation_steps": 1,
    "dataset": None,
    "pricing": None,
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One question without its batch, length and card."""

    request: PlanRequest
    model: Model
    setup: Setup
    static: Static
    stages: tuple[tuple[Stage, Static], ...]
    _layouts: dict[tuple[Regime, bool], Layout] = field(default_factory=dict, compare=False, repr=False)

    def step(self, batch: Number, length: Number, gradients_exist: bool) -> Step:
        """The step at a batch and length, or at arrays of them that share a regime."""
        layout = self.layout(batch, length, gradients_exist)
        return evaluate(layout, self.request, self.model.architecture, batch, length)

    def layout(self, batch: Number, length: Number, gradients_exist: bool) -> Layout:
        """The tapes of that step."""
        architecture = self.model.architecture
        there = gradients_exist or waits_for_layers(self.setup)
        key = regime_of(architecture, representative(batch), representative(length)), there
        if key not in self._layouts:
            self._layouts[key] = lay_out(self.request, architecture, self.setup, *key)
        return self._layouts[key]


def prepare(request: PlanRequest) -> tuple[Stacked, Prepared]:
    """The request in its stack, and what follows from it whatever batch, length and card are.

    Raises PlannerError where the request cannot be planned.
    """
    stacked = in_stack(request)
    return stacked, _prepared(_Kept(stacked))


def _prepare(stacked: Stacked) -> Prepared:
    request = stacked.request.model_copy(update=OPEN)
    model = _built(load_model(request), stacked.switches)
    setup = resolve_setup(request, model.architecture, stacked.switches)
    items = inventory(request, model.architecture, setup)
    stages = tuple(
        (stage, replace(static_bytes(request, model.architecture, stage_items(items, stage), setup), items=items))
        for stage in stages_of(request, model.architecture, items, setup)
    )
    return Prepared(request, model, setup, stages[0][1], stages)


def _built(model: Model, switches: Switches) -> Model:
    """The model as the stack builds it."""
    model = replace(model, architecture=as_of(model.architecture, switches.modeling))
    return _in_own_modules(model) if switches.own_modules else model


def _in_own_modules(model: Model) -> Model:
    """The model where a stack builds it of nn.Linear throughout, with a head of its own."""
    blocks = tuple(replace(block, linears=tuple(map(_plain, block.linears))) for block in model.architecture.blocks)
    return replace(model, architecture=replace(model.architecture, blocks=blocks, tied=False))


def _plain(linear: Linear) -> Linear:
    return linear._replace(cls="Linear") if linear.cls == "subclass" else linear


class _Kept:
    """A request in its stack that equals another one where both differ in open fields only."""

    __slots__ = ("stacked", "_key", "_hash")

    def __init__(self, stacked: Stacked):
        self.stacked = stacked
        request = stacked.request
        fields = request.__dict__
        # what depends on which fields were set, not on their values alone
        said = (request.names_stack, request.upcasts_unquantized)
        self._key = (stacked.switches, *said, *(_hashable(v) for name, v in fields.items() if name not in OPEN))
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and self._key == other._key


def _hashable(value: Any) -> Any:
    """A field's value; a config that a request carries stands as its JSON."""
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, dict) else value


@lru_cache(maxsize=1024)
def _prepared(kept: _Kept) -> Prepared:
    return _prepare(kept.stacked)
