"""Parts of a model on tape: one layer, and the model around its layers; compiled once for each structure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import ge
from types import ModuleType

from planner.memory.layers import family_module
from planner.memory.modules import Context
from planner.memory.structure import Structure
from planner.memory.tape import Key, Live, Monomial, Snapshot, Tape, Value


@dataclass(frozen=True)
class Peaks:
    """Candidates for the largest sum, those that another one always exceeds left out.

    terms: of each candidate, (index into monomials, coefficient) pairs.
    """

    snapshots: tuple[Snapshot, ...]
    monomials: tuple[Monomial, ...]
    terms: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, snapshots: list[Snapshot]) -> "Peaks":
        merged = [snapshot.merged() for snapshot in snapshots]
        monomials = tuple(dict.fromkeys(m for sums in merged for m in sums))
        vectors = [tuple(sums.get(m, 0) for m in monomials) for sums in merged]
        kept: list[int] = []
        for i in sorted(range(len(vectors)), key=lambda i: -sum(vectors[i])):
            if not any(all(map(ge, vectors[k], vectors[i])) for k in kept):
                kept.append(i)
        terms = tuple(tuple((at, c) for at, c in enumerate(vectors[i]) if c) for i in kept)
        return cls(tuple(snapshots[i] for i in kept), monomials, terms)


@dataclass(frozen=True)
class TapedLayer:
    """One layer: its peaks in forward and backward, and what it leaves.

    saved: live from its forward to the end of the model's forward; kept: from there to its backward (without
    autocast's cache of cast weights). gradients: live after its backward.
    """

    saved: Live
    kept: Live
    gradients: Live
    forward: Peaks
    backward: Peaks


@dataclass(frozen=True)
class TapedModel:
    """The model around its layers: embeddings, final norm, head and loss.

    shared: live while layers run forward; shared_backward: while they run backward (with the head's gradients).
    left: what is live after the whole backward. inputs_embeds: the first layer's input, where a local of the model's
    forward names it until that returns.
    """

    embed: Peaks
    shared: Live
    head: Peaks
    loss: Peaks
    backward_head: Peaks
    shared_backward: Live
    backward_embed: Peaks
    left: Live
    inputs_embeds: Live


@lru_cache(maxsize=4096)
def tape_layer(s: Structure) -> TapedLayer:
    """Run one layer forward and backward on a tape."""
    family = family_module(s.family)
    t = Tape("forward", s.gradients_exist)
    c = Context(t, s)
    hidden, received = t.boundary(("B", "S", "hidden"), c.hidden_dtype, s.input_requires_grad, "layer input")
    out = _run_forward(t, c, family.layer, hidden)
    del hidden
    t.snapshot()
    saved = _kept(t, out)
    t.cast_cache.clear()
    kept = _kept(t, out)
    forward, t.snapshots, t.phase = t.snapshots, [], "backward"
    if out.node is not None:
        _backward(t, out, t.allocate(("B", "S", "hidden"), out.dtype, "gradient of hidden states"))
    received.clear()
    return TapedLayer(saved, kept, Live(t.live), Peaks.of(forward), Peaks.of(t.snapshots))


def _run_forward(t: Tape, c: Context, layer: Callable[..., Value], hidden: Value) -> Value:
    if c.structure.checkpointing == "none":
        return layer(c, hidden)
    if c.structure.checkpointing == "reentrant":
        return t.checkpoint_reentrant(lambda h: layer(c, h), hidden)
    return t.checkpoint(layer, c, hidden)


def _backward(t: Tape, out: Value, grad: Value) -> None:
    node, index = out.node, out.index
    assert node is not None
    out.storage = out.node = None
    buffers = {node: [None] * index + [grad]}
    del node, grad
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


@lru_cache(maxsize=4096)
def tape_model(s: Structure) -> TapedModel:
    """Run the model around its layers: embed, then head and loss, their backward, the embedding's backward."""
    family: ModuleType = family_module(s.family)
    t = Tape("forward", s.gradients_exist)
    t.tied = "head.weight" if s.tied and s.train_base else ""
    c = Context(t, s)
    embedded = family.embed(c)
    t.snapshot()
    embed, t.snapshots = t.snapshots, []
    shared = _without(t, embedded)
    inputs_embeds = _named(c, embedded)
    hidden, received = t.boundary(("B", "S", "hidden"), c.hidden_dtype, s.input_requires_grad, "last hidden states")
    embedded.storage = None
    passed = [hidden]
    del hidden
    loss = family.loss(c, passed.pop())
    t.snapshot()
    t.cast_cache.clear()
    t.phase = "backward head"
    forward, t.snapshots = t.snapshots, []
    _backward(t, loss, t.allocate((1,), "float32", "loss grad"))
    t.snapshot()
    shared_backward = _without(t, *[g for g in received if g is not None])
    backward_head, t.snapshots, t.phase = t.snapshots, [], "backward embedding"
    grad = received.pop() if received else None
    dtype, grad = (grad.dtype if grad is not None else c.hidden_dtype), None
    if embedded.node is not None:
        held = [c] if s.checkpointing == "reentrant" else []  # CheckpointFunction holds its arguments with the graph
        del c
        _backward(t, embedded, t.allocate(("B", "S", "hidden"), dtype, "gradient of hidden states"))
        held.clear()
    return TapedModel(
        Peaks.of(embed),
        shared,
        Peaks.of([s for s in forward if s.phase == "forward"]),
        Peaks.of([s for s in forward if s.phase == "loss"]),
        Peaks.of(backward_head),
        shared_backward,
        Peaks.of(t.snapshots),
        Live(t.live),
        inputs_embeds,
    )


def _named(c: Context, embedded: Value) -> Live:
    storage = embedded.storage
    if storage is None or not any(value is embedded for value in c.model_locals):
        return Live()
    return Live({storage.key: storage.coefficient})
