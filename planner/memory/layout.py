"""The tapes of a model in order, and the step that they make at a batch and length."""

from dataclasses import dataclass, replace
from itertools import groupby

from planner.architecture.blocks import Architecture, Block
from planner.memory.dims import (
    Dims,
    Number,
    block_dims,
    model_dims,
)
from planner.memory.evaluated import Layer, Part, Runs
from planner.memory.inventory import Setup
from planner.memory.layers import GENERIC
from planner.memory.live import ITEMSIZE, Live
from planner.memory.mixer_dims import mixer_dims, sequence_dims
from planner.memory.model_parallel import device_dims, device_length, keys_and_values
from planner.memory.sharding import computing
from planner.memory.spread import left_by_hooks, left_gradients
from planner.memory.step import Step
from planner.memory.structure import FULL, RECURRENT, SLIDING, Regime, Structure, regime_of
from planner.memory.structures import around_layers, input_gradient, structures
from planner.memory.taped import TapedLayer, TapedModel, tape_layer, tape_model
from planner.schema import PlanRequest


@dataclass(frozen=True, slots=True)
class Laid:
    """A kind of layer as it stands in the model: its tape and sizes; `kind` as in Layer."""

    tape: TapedLayer
    dims: Dims
    kind: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The tapes of a model in order; all of a step but batch and length.

    stacks: of each stack, (kind of layer, how many alike follow each other). kept_size, made_size: bytes of an
    element of a gradient as it is kept and as backward makes it. left: what else stays as a layer is done.
    """

    tape: TapedModel
    stacks: tuple[tuple[tuple[Laid, int], ...], ...]
    kept_size: int
    made_size: int
    left: Live


def build_step(
    request: PlanRequest,
    architecture: Architecture,
    setup: Setup,
    batch: Number,
    length: Number,
    gradients_exist: bool = False,
) -> Step:
    """Tape and evaluate every kind of layer and the model around them."""
    regime = regime_of(architecture, representative(batch), representative(length))
    layout = lay_out(request, architecture, setup, regime, gradients_exist)
    return evaluate(layout, request, architecture, batch, length)


def lay_out(
    request: PlanRequest, architecture: Architecture, setup: Setup, regime: Regime, gradients_exist: bool
) -> Layout:
    """Tape every kind of layer and the model around them."""
    computed = computing(request, setup)
    base, kinds = structures(request, architecture, computed, regime, gradients_exist)
    prefixes = list(dict.fromkeys(block.prefix for block, _ in kinds))
    order: dict[tuple[int, int], Laid] = {}
    for block, structure in kinds:
        last = max(max(b.indices) for b, _ in kinds if b.prefix == block.prefix)
        sizes = block_dims(block, named=base.family == GENERIC) | mixer_dims(block)
        layers = _layers_of(block, structure, sizes, last, input_gradient(request, setup))
        order |= {(prefixes.index(block.prefix), index): layer for index, layer in layers.items()}
    tape = tape_model(around_layers(base))
    full = request.lora_settings is None
    kept, made = (ITEMSIZE[s.dtype if full else s.adapter_dtype] for s in (setup, computed))
    return Layout(tape, _in_stacks(order, len(tape.entries)), kept, made, left_by_hooks(request, setup))


def _layers_of(block: Block, structure: Structure, dims: Dims, last: int, given_gradient: bool) -> dict[int, Laid]:
    """The layers of a block by index: the first and the last of a stack can be of their own."""
    alike: dict[tuple[bool, bool], Laid] = {}
    found = {}
    for index in block.indices:
        ends = (index == 0 and not given_gradient, index == last and structure.block.shares)
        if ends not in alike:
            own = replace(structure, input_requires_grad=not ends[0], last_of_stack=ends[1]) if any(ends) else structure
            alike[ends] = Laid(tape_layer(own), dims, _kind(own))
        found[index] = alike[ends]
    return found


def _kind(structure: Structure) -> str:
    """A reentrant checkpoint's arguments live as long as the graph, which the loss holds until backward is over."""
    if structure.checkpointing == "reentrant":
        return ""
    if structure.block.mixer in ("linear", "mamba"):
        return RECURRENT
    return SLIDING if structure.block.sliding else FULL


def _in_stacks(order: dict[tuple[int, int], Laid], num_stacks: int) -> tuple[tuple[tuple[Laid, int], ...], ...]:
    """Layers in order, alike ones together, by stack where the family's code runs more than one."""
    stacks: list[list[Laid]] = [[] for _ in range(num_stacks)]
    for place in sorted(order):
        stacks[min(place[0], num_stacks - 1)].append(order[place])
    groups = [[list(group) for _, group in groupby(layers, key=id)] for layers in stacks]
    return tuple(tuple((alike[0], len(alike)) for alike in stack) for stack in groups)


def evaluate(layout: Layout, request: PlanRequest, architecture: Architecture, batch: Number, length: Number) -> Step:
    """The step of a layout at a batch and length, or at arrays of them that share its regime."""
    dims = whole_dims(request, architecture, batch, length)
    layers: dict[int, Layer] = {}
    stacks: list[Runs] = []
    for stack in layout.stacks:
        for laid, _ in stack:
            if id(laid) not in layers:
                layer = layers[id(laid)] = _evaluate(
                    laid, device_dims(request, layer_dims(request, laid, dims, length))
                )
                if request.parallelism.context_parallel_size > 1:
                    layer.need(keys_and_values(request, laid.dims))
                if request.parallelism.activation_offloading:
                    layer.offload()
                layer.keep(left_gradients(request, layer.gradients, layout.kept_size, layout.made_size))
                layer.leave(layout.left)
        stacks.append([(layers[id(laid)], count) for laid, count in stack])
    return Step(Part(device_dims(request, dims)), layout.tape, stacks)


def whole_dims(request: PlanRequest, architecture: Architecture, batch: Number, length: Number) -> Dims:
    """The symbols that every part knows, for a device's piece of the sequence."""
    rank = request.lora_settings.r if request.lora_settings else 0
    return model_dims(architecture, batch, device_length(request, length), rank) | {"S_whole": length}


def layer_dims(request: PlanRequest, laid: Laid, dims: Dims, length: Number) -> Dims:
    """Those with one kind of layer's own."""
    return dims | laid.dims | sequence_dims(laid.dims, device_length(request, length))


def representative(number: Number) -> int:
    """One value that decides the structure: arrays hold values of one structure only (planner/grid.py)."""
    return number if isinstance(number, int) else int(number.flat[0])


def _evaluate(laid: Laid, dims: Dims) -> Layer:
    tape, part = laid.tape, Part(dims)
    forward, forward_at = part.highest(tape.forward)
    backward, backward_at = part.highest(tape.backward)
    saved, passed, kept = part.total(tape.saved), part.total(tape.passed), part.total(tape.kept)
    gradients = part.total(tape.gradients)
    return Layer(part, tape, saved, passed, kept, gradients, forward, backward, forward_at, backward_at, laid.kind)
