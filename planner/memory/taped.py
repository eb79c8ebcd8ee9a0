"""Parts of a model on tape: one layer, and the model around its layers; compiled once for each structure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from planner.memory import sharing
from planner.memory.graph import Node, Value
from planner.memory.kernels import Noted
from planner.memory.live import Key, Live
from planner.memory.modules import Context
from planner.memory.peaks import Peaks
from planner.memory.sharing import Handed
from planner.memory.structure import Structure
from planner.memory.tape import Tape
from planner.memory.watched import Shared


@dataclass(frozen=True)
class TapedLayer:
    """One layer: its peaks in forward and backward, and what it leaves.

    saved: live from its forward to the end of its stack's forward; passed: from there to the model's, without
    what only the stack's layers share; kept: from there to its backward, without autocast's cache of cast weights.
    gradients: live after its backward. carried: what its graph holds into the next step's forward. work: the kernels
    of both.
    """

    saved: Live
    passed: Live
    kept: Live
    gradients: Live
    carried: Live
    forward: Peaks
    backward: Peaks
    work: Noted


@dataclass(frozen=True)
class Entry:
    """What the model runs before a stack of layers: embeddings, and between two stacks the end of the first.

    shared: live while the stack's layers run forward; shared_backward: while they run backward (with the gradients of
    what comes after them). inputs_embeds: the first layer's input, where a local of the forward names it until that
    returns.
    """

    forward: Peaks
    shared: Live
    inputs_embeds: Live
    shared_backward: Live
    backward: Peaks


@dataclass(frozen=True)
class TapedModel:
    """The model around its layers: what comes before each stack of them, then final norm, head and loss.

    left: what is live after the whole backward. carried: what the loop and the graph hold into the next step's
    forward. work: the kernels of what comes before the layers, of what comes after.
    """

    entries: tuple[Entry, ...]
    head: Peaks
    loss: Peaks
    backward_head: Peaks
    left: Live
    carried: Live
    work: Noted


@lru_cache(maxsize=4096)
def tape_layer(s: Structure) -> TapedLayer:
    """One layer's tape: that of a structure alike where there is one.

    Time and operations are those of plain torch where kernels are fused: what fused ones need of its traffic is a
    constant (planner/throughput, fused_traffic_share).
    """
    tape = _layers(s)
    return replace(tape, work=_layers(_unpatched(s)).work) if s.patched else tape


@lru_cache(maxsize=4096)
def tape_model(s: Structure) -> TapedModel:
    """The tape of what stands around the layers: that of a structure alike where there is one; time as above."""
    tape = _models(s)
    return replace(tape, work=_models(_unpatched(s)).work) if s.patched else tape


def _unpatched(s: Structure) -> Structure:
    return replace(s, patched=frozenset())


def _tape_layer(family: ModuleType, s: Structure) -> TapedLayer:
    """Run one layer forward and backward on a tape."""
    t = Tape("forward", s.gradients_exist)
    c = Context(t, s)
    c.stream_dtype = _stream_dtype(family, c)
    hidden, _ = t.boundary(("B", "S", "hidden"), c.stream_dtype, s.input_requires_grad, "layer input")
    given = family.given(c) if s.block.shares else {}
    picked = family.picked(c, given) if s.block.own_input else given
    out, handed = _run_forward(t, c, family.layer, hidden, picked)
    picked = {}
    del hidden
    t.mark()
    saved = _kept(t, out)
    begins = [(out, "hidden states"), *sharing.with_gradients(s, given | handed)]
    leaves = [value for value in handed.values() if value.leaf is not None]
    if not sharing.held_by_later_layers(s):
        handed = {}
    passed = _kept(t, out)
    given = {}
    t.cast_cache.clear()
    kept = _kept(t, out)
    forward, t.phase = t.cut(), "backward"
    handed = {}
    _backward(t, begins)
    t.forget_received()
    left = Live(t.live)
    leaves.clear()
    return TapedLayer(saved, passed, kept, left, t.carried, Peaks.of(forward), Peaks.of(t.cut()), t.work.cut())


def _run_forward(t: Tape, c: Context, layer: Callable[..., Any], hidden: Value, given: Handed) -> tuple[Value, Handed]:
    checkpointing, shares = c.structure.checkpointing, c.structure.block.shares
    if checkpointing == "reentrant" and shares:
        return sharing.checkpoint_reentrant(t, lambda h, g: layer(c, h, g), hidden, given)
    args = (given,) if shares else ()
    if checkpointing == "none":
        made = layer(c, hidden, *args)
    elif checkpointing == "reentrant":
        made = t.checkpoint_reentrant(lambda h: layer(c, h), hidden)
    else:
        made = t.checkpoint(layer, c, hidden, *args)
    return made if shares else (made, {})


def _stream_dtype(family: ModuleType, c: Context) -> str:
    """Of the hidden states between layers.

    Linear4bit hands out what it is given: float32 norms make the MLP's output so, and all that is added to it. The
    first layer's input alone, from 16-bit embeddings, is half as wide as counted.
    """
    given: str = getattr(family, "STREAM_DTYPE", c.hidden_dtype)
    return "float32" if c.structure.wide_norms else given


def _backward(t: Tape, begins: list[tuple[Value, str]]) -> None:
    """Run backward from values whose gradients are there, and let go of the values."""
    buffers: dict[Node, list[Value | None]] = {}
    for value, name in begins:
        value.storage = None
        grad = t.allocate(value.shape, value.dtype, f"gradient of {name}")
        if value.node is not None:
            buffers.setdefault(value.node, [None] * value.node.num_outputs)[value.index] = grad
        elif value.leaf is not None:
            t.accumulate_grad(value.leaf, grad)
        value.node = None  # parts of the graph that no gradient reaches go with it
        del grad
    del value
    begins.clear()
    t.run_backward(buffers)


def _kept(t: Tape, out: Value) -> Live:
    """What a layer holds after its forward: activations, whether saved by the graph or held by a checkpoint."""
    kept = Live()
    for (label, _, monomial), coefficient in _without(t, out).items():
        key: Key = (label, "activations", monomial)
        kept[key] = kept.get(key, 0) + coefficient
    return kept


def _without(t: Tape, *values: Value) -> Live:
    """What is live, less the storages of `values`."""
    live = Live(t.live)
    for value in values:
        if value.storage is not None:
            live[value.storage.key] -= value.storage.coefficient
    return Live({key: coefficient for key, coefficient in live.items() if coefficient})


def _tape_model(family: ModuleType, s: Structure) -> TapedModel:
    """Run the model around its layers: what comes before each stack, then head and loss, and all of it backward."""
    t = Tape("forward", s.gradients_exist)
    between = getattr(family, "BETWEEN", ())
    tied = s.tied and not s.saved  # the copies of modules_to_save are not tied to each other
    t.tied, t.uses_of_tied = "head.weight" if tied else "embed_tokens.weight", 1 + len(between) + tied
    c = Context(t, s)
    c.stream_dtype = _stream_dtype(family, c)
    embedded = family.embed(c)
    starts = [_start(t, c, *(embedded if isinstance(embedded, tuple) else (embedded,)))]
    del embedded
    for enter in between:
        starts.append(_start(t, c, *enter(c, _last_hidden_states(t, c, starts[-1]))))
    loss = family.loss(c, _last_hidden_states(t, c, starts[-1]))
    t.mark()
    t.cast_cache.clear()
    forward, t.phase = t.cut(), "backward head"
    _backward(t, [(loss, "the loss")])
    del loss
    t.mark()
    backward_head = Peaks.of(t.cut())
    contexts = [c]
    del c
    entries = [_entry(t, contexts, start) for start in reversed(starts)]
    contexts.clear()
    return TapedModel(
        tuple(reversed(entries)),
        Peaks.of(forward, "forward"),
        Peaks.of(forward, "loss"),
        backward_head,
        Live(t.live),
        t.carried,
        t.work.cut(),
    )


@dataclass(slots=True)
class _Start:
    """A stack's start as the forward left it: its input and what its layers share, and the gradient of its end.

    received: the gradient of the stack's last hidden states, once what follows has run backward.
    """

    forward: Peaks
    shared: Live
    inputs_embeds: Live
    outputs: list[tuple[Value, str]]
    received: list[Value | None]


def _start(t: Tape, c: Context, embedded: Value, shared: Handed | None = None) -> _Start:
    """What stands before a stack has run: its layers count their input, and the first of them what all are given."""
    shared = shared or {}
    t.mark()
    forward = Peaks.of(t.cut())
    live, inputs_embeds = _without(t, embedded, *shared.values()), _named(c, embedded)
    outputs = [(embedded, "hidden states"), *((value, name) for name, value in shared.items())]
    for value, _ in outputs:
        value.storage = None
    return _Start(forward, live, inputs_embeds, outputs, [])


def _last_hidden_states(t: Tape, c: Context, start: _Start) -> Value:
    """The output of a stack, which what follows gets as its only reference."""
    wanted = c.structure.input_requires_grad
    hidden, start.received = t.boundary(("B", "S", "hidden"), c.stream_dtype, wanted, "last hidden states")
    return hidden


def _entry(t: Tape, contexts: list[Context], start: _Start) -> Entry:
    """Run what stands before a stack backward."""
    shared_backward = _without(t, *[grad for grad in start.received if grad is not None])
    (c,) = contexts
    if c.structure.checkpointing != "reentrant" or c.structure.block.shares:
        c.end_stack_backward()  # else the function that CheckpointFunction calls holds masks and tables with the graph
    del c
    start.received.clear()
    t.phase = "backward embedding"
    _backward(t, start.outputs)
    return Entry(start.forward, start.shared, start.inputs_embeds, shared_backward, Peaks.of(t.cut()))


def _named(c: Context, embedded: Value) -> Live:
    storage = embedded.storage
    if storage is None or not any(value is embedded for value in c.model_locals):
        return Live()
    return Live({storage.key: storage.coefficient})


_layers = Shared(_tape_layer)
_models = Shared(_tape_model)
