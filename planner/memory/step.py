"""One training step put together: live bytes through its phases, and where the largest sum falls.

Layers come from the tape (taped.py), parameters and states from the inventory. What a layer keeps is added up over
the layers before it; the gradients it leaves over the layers after it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from planner.memory.dims import (
    Number,
    larger,
)
from planner.memory.evaluated import Layer, Part, Runs, pieces_at
from planner.memory.live import Key, Live
from planner.memory.sharding import FIRST, LAST, MIDDLE
from planner.memory.taped import Entry, TapedModel

#: What is live: (part, live, times) triples.
Pieces = tuple[tuple[Part, Live, int], ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """What is live at one moment: (part, live, times) triples that add up to the activations' share."""

    phase: str
    bytes: Number
    pieces: Pieces
    gradients: str  # "none", "growing" (in pieces), "all"
    layer: str = ""  # of the layers' backward: which place the layer at work has among them

    @property
    def at(self) -> str:
        """The moment by the names that buffers use (sharding.py)."""
        return self.layer or self.phase.replace(" ", "_")


@dataclass(slots=True)
class Step:
    """All parts of one step, evaluated. stacks: of each stack, (layer, how many alike follow each other), in order."""

    model: Part
    tape: TapedModel
    stacks: list[Runs]

    @property
    def layers(self) -> list[Layer]:
        """Every layer, in order."""
        return [layer for runs in self.stacks for layer, count in runs for _ in range(count)]

    @property
    def on_host(self) -> Number:
        """Bytes of activations that the layers keep in the host's memory."""
        return sum((layer.on_host for layer in self.layers), start=0)

    def moments(self, held: Callable[[str], int] = lambda at: 0) -> list[Composition]:
        """The largest moment of every phase, in order; `held`: bytes of buffers at a moment, which count there too."""
        return [*self._forward(), *self._backward(held)]

    def _forward(self) -> Iterable[Composition]:
        model, tape = self.model, self.tape
        before: Runs = []
        carried = self.carried
        extra = sum((part.total(live) * times for part, live, times in carried), start=0)
        for entry, runs in zip(tape.entries, self.stacks, strict=True):
            best, at = model.highest(entry.forward)
            pieces = (*counted_layers(before, "passed"), *pieces_at(model, at), *carried)
            yield Composition("forward", _sum(before, "passed") + best + extra, pieces, "none")
            yield self._forward_layers(entry, runs, before, extra)
            before = before + runs
        for phase, peaks in (("forward", tape.head), ("loss", tape.loss)):
            best, at = model.highest(peaks)
            held, more = (carried, extra) if phase == "forward" else ((), 0)
            pieces = (*counted_layers(before, "passed"), *pieces_at(model, at), *held)
            yield Composition(phase, _sum(before, "passed") + best + more, pieces, "none")

    @property
    def carried(self) -> Pieces:
        """What the training loop still holds of the step before while this one runs forward."""
        layers = [(layer.part, layer.tape.carried, count) for runs in self.stacks for layer, count in runs]
        return tuple(piece for piece in (*layers, (self.model, self.tape.carried, 1)) if piece[1])

    def _forward_layers(self, entry: Entry, runs: Runs, before: Runs, carried: Number) -> Composition:
        model = self.model
        running = _sum(before, "passed") + model.total(entry.shared) + carried
        highest, where = running, 0
        named = self._named_embeddings(entry, runs)
        named_bytes = model.total(named)
        for i, (layer, count) in enumerate(runs):
            moment = running + (count - 1) * layer.saved + layer.forward
            if i or count > 1:
                moment = moment + named_bytes
            highest, where = _higher(highest, where, moment, i)
            running = running + count * layer.saved
        return Composition("forward", highest, self.forward_at(entry, runs, before, where, runs[where][1] - 1), "none")

    def forward_at(self, entry: Entry, runs: Runs, before: Runs, run: int, done: int) -> Pieces:
        """What is live as a layer runs forward, `done` layers of its run having passed before it."""
        found, named = runs[run][0], self._named_embeddings(entry, runs)
        shared = Live(entry.shared | named) if named and (run or done) else entry.shared
        return (
            (self.model, shared, 1),
            *counted_layers(before, "passed"),
            *counted_layers([*runs[:run], (found, done)], "saved"),
            *found.at_work(found.forward_at),
            *self.carried,
        )

    @staticmethod
    def _named_embeddings(entry: Entry, runs: Runs) -> Live:
        """The first layer's input, which a local of the model's forward names, where that layer does not save it."""
        saved = any(label == "layer input" for label, _, _ in runs[0][0].tape.saved)
        return Live() if saved else entry.inputs_embeds

    def _backward(self, held: Callable[[str], int]) -> Iterable[Composition]:
        model, tape = self.model, self.tape
        best, at = model.highest(tape.backward_head)
        before = [run for runs in self.stacks for run in runs]
        pieces = (*counted_layers(before, "kept"), *pieces_at(model, at))
        yield Composition("backward head", _sum(before, "kept") + best, pieces, "growing")
        after: Runs = []
        for i in range(len(self.stacks) - 1, -1, -1):
            entry, runs = tape.entries[i], self.stacks[i]
            before = before[: len(before) - len(runs)]
            yield self._backward_layers(entry, runs, before, after, held)
            after = runs + after
            best, at = model.highest(entry.backward)
            total = _sum(before, "kept") + _sum(after, "gradients") + best
            pieces = (*counted_layers(before, "kept"), *counted_layers(after, "gradients"), *pieces_at(model, at))
            yield Composition("backward layers" if before else "backward embedding", total, pieces, "growing")

    def _backward_layers(
        self, entry: Entry, runs: Runs, before: Runs, after: Runs, held: Callable[[str], int]
    ) -> Composition:
        """Within a run bytes change by the same amount a layer, so the largest moment is at one of its ends.

        Buffers differ for the first and the last layer of all, so next to those ends is looked at too.
        """
        total, passed = _number((*before, *runs, *after)), _number(after)
        base = self.model.total(entry.shared_backward) + _sum(before, "kept") + _sum(runs, "kept")
        base = base + _sum(after, "gradients")
        highest: Number = 0
        where = (0, 0)
        for i in range(len(runs) - 1, -1, -1):
            layer, count = runs[i]
            for done in sorted({0, min(1, count - 1), max(count - 2, 0), count - 1}):
                moment = base - (done + 1) * layer.kept + done * layer.gradients + layer.backward
                moment = moment + held(_place(passed + done, total))
                highest, where = _higher(highest, where, moment, (i, done))
            passed += count
            base = base + count * (layer.gradients - layer.kept) - self.model.total(last_used(entry, runs, i))
        pieces, at = self.backward_at(entry, runs, before, after, *where)
        return Composition("backward layers", highest - held(at), pieces, "growing", at)

    def backward_at(
        self, entry: Entry, runs: Runs, before: Runs, after: Runs, run: int, done: int
    ) -> tuple[Pieces, str]:
        """What is live as a layer runs backward, `done` layers of its run being through, and its place among all."""
        found, count = runs[run]
        gone = {key for later in range(run + 1, len(runs)) for key in last_used(entry, runs, later)}
        pieces = (
            (self.model, _without(entry, gone), 1),
            *counted_layers([*before, *runs[:run], (found, count - done - 1)], "kept"),
            *found.at_work(found.backward_at),
            *counted_layers([(found, done), *runs[run + 1 :], *after], "gradients"),
        )
        passed = _number((*runs[run + 1 :], *after)) + done
        return pieces, _place(passed, _number((*before, *runs, *after)))


def _number(runs: Iterable[tuple[Layer, int]]) -> int:
    """Layers of some runs."""
    return sum(count for _, count in runs)


def _place(done: int, total: int) -> str:
    """Where a layer stands in the backward of all layers."""
    return FIRST if done == 0 else LAST if done == total - 1 else MIDDLE


def _sum(runs: Runs, attribute: str) -> Number:
    """Bytes of all layers of some runs."""
    return sum(count * getattr(layer, attribute) for layer, count in runs)


def _without(entry: Entry, gone: set[Key]) -> Live:
    """What the model holds while layers run backward, less what the later ones have used last."""
    held = entry.shared_backward
    return Live({key: c for key, c in held.items() if key not in gone}) if gone else held


def last_used(entry: Entry, runs: Runs, run: int) -> Live:
    """What the model made for one kind of layer, if `run` is the first of them: let go after its backward."""
    kind = runs[run][0].kind
    if not kind or any(layer.kind == kind for layer, _ in runs[:run]):
        return Live()
    return Live({key: c for key, c in entry.shared_backward.items() if key[0].startswith(kind)})


Where = TypeVar("Where")


def _higher(highest: Number, where: Where, moment: Number, here: Where) -> tuple[Number, Where]:
    """The larger of two moments and its place; for arrays the places are not kept apart."""
    if not isinstance(moment, int) or not isinstance(highest, int):
        return larger(highest, moment), where
    return (moment, here) if moment > highest else (highest, where)


#: The gradients a layer leaves, as one entry: its bytes after sharding are the symbol's value.
LEFT = Live({("gradients", "gradients", ("layer_gradients",)): 1})


def counted_layers(runs: Iterable[tuple[Layer, int]], attribute: str) -> list[tuple[Part, Live, int]]:
    """Pieces of a composition: what layers keep, so many times."""
    if attribute == "gradients":
        left = [(layer.part, layer.left, count) for layer, count in runs if count and layer.left]
        return [*((layer.part, LEFT, count) for layer, count in runs if count), *left]
    return [(layer.part, getattr(layer.tape, attribute), count) for layer, count in runs if count]
