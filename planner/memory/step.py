"""One training step put together: live bytes through its phases, and where the largest sum falls.

Layers come from the tape (taped.py), parameters and states from the inventory. What a layer keeps is added up over
the layers before it; the gradients it leaves over the layers after it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TypeVar

from planner.architecture.blocks import Architecture, Block
from planner.memory.dims import (
    Dims,
    Number,
    block_dims,
    block_roles,
    block_shape,
    larger,
    model_dims,
    model_shape,
    value,
)
from planner.memory.inventory import Setup
from planner.memory.layers import GENERIC, WITHOUT_SDPA, layer_family
from planner.memory.loops import pass_tokens
from planner.memory.mixer_dims import mixer_dims, sequence_dims
from planner.memory.model_parallel import device_dims, device_length, keys_and_values
from planner.memory.peaks import Peaks
from planner.memory.reach import executed_blocks
from planner.memory.sharding import FIRST, LAST, MIDDLE, computing
from planner.memory.spread import left_by_hooks, left_gradients
from planner.memory.structure import FULL, RECURRENT, SLIDING, AttentionName, Regime, Structure, regime_of
from planner.memory.tape import ITEMSIZE, Key, Live, Monomial
from planner.memory.taped import Entry, TapedLayer, TapedModel, tape_layer, tape_model
from planner.schema import PlanRequest

AUTOCAST = {"no": None, "bf16": "bfloat16", "fp16": "float16"}


#: A moment of a taped part: which of its peaks.
Candidate = tuple[Peaks, int]


class Sizes(dict[Monomial, Number]):
    """Products of symbols at the values of `dims`, each computed once."""

    def __init__(self, dims: Dims):
        super().__init__()
        self._dims = dims

    def __missing__(self, monomial: Monomial) -> Number:
        size = self[monomial] = value(monomial, self._dims)
        return size


class Part:
    """A taped part with the sizes to put in: one kind of layer, or the model around them."""

    __slots__ = ("dims", "sizes")

    def __init__(self, dims: Dims):
        self.dims, self.sizes = dims, Sizes(dims)

    def total(self, live: Live) -> Number:
        """Bytes of what is live."""
        sizes, total = self.sizes, 0
        for _, monomial, coefficient in live.groups:
            total = total + coefficient * sizes[monomial]
        return total

    def highest(self, peaks: Peaks) -> tuple[Number, Candidate | None]:
        """The largest candidate, and which one it is (None where sizes are arrays)."""
        best, which = peaks.highest(self.sizes)
        return best, None if which is None else (peaks, which)


@dataclass(slots=True)
class Layer:
    """One kind of layer, evaluated: bytes kept, left and needed.

    kind: how labels begin of what the model's forward made for layers of this kind only (masks, rotary tables).
    """

    part: Part
    tape: TapedLayer
    saved: Number
    passed: Number
    kept: Number
    gradients: Number
    forward: Number
    backward: Number
    forward_at: Candidate | None
    backward_at: Candidate | None
    kind: str = ""
    besides: Live = field(default_factory=Live)
    left: Live = field(default_factory=Live)
    on_host: Number = 0

    def need(self, live: Live) -> None:
        """This besides, while the layer is at work."""
        self.besides = live
        self.forward, self.backward = (size + self.part.total(live) for size in (self.forward, self.backward))

    def offload(self) -> None:
        """What it saves goes to the host, and comes back when the layer is at work again."""
        self.on_host = self.kept
        self.saved = self.passed = self.kept = 0
        self.tape = replace(self.tape, saved=Live(), passed=Live(), kept=Live())

    def at_work(self, found: Candidate | None) -> tuple[tuple[Part, Live, int], ...]:
        """What is live of it at one of its peaks."""
        pieces = () if found is None else _pieces(self.part, found)
        return (*pieces, (self.part, self.besides, 1)) if self.besides else pieces

    def leave(self, live: Live) -> None:
        """This stays to the end of backward as the layer is done."""
        self.left = live
        self.gradients = self.gradients + self.part.total(live)

    def keep(self, num_bytes: Number) -> None:
        """Of the gradients, what stays when the layer is done."""
        self.gradients = self.part.dims["layer_gradients"] = num_bytes


@dataclass(frozen=True, slots=True)
class Composition:
    """What is live at one moment: (part, live, times) triples that add up to the activations' share."""

    phase: str
    bytes: Number
    pieces: tuple[tuple[Part, Live, int], ...]
    gradients: str  # "none", "growing" (in pieces), "all"
    layer: str = ""  # of the layers' backward: which place the layer at work has among them

    @property
    def at(self) -> str:
        """The moment by the names that buffers use (sharding.py)."""
        return self.layer or self.phase.replace(" ", "_")


def structures(
    request: PlanRequest, architecture: Architecture, setup: Setup, regime: Regime, gradients_exist: bool
) -> tuple[Structure, list[tuple[Block, Structure]]]:
    """The structure of the model around its layers, and of each kind of layer."""
    base = _structure(request, architecture, setup, regime, gradients_exist)
    layers = []
    for block in executed_blocks(architecture):
        window = block.attention.sliding_window if block.attention else None
        own = _of_block(base, block, architecture, setup, window in regime.full_windows)
        layers.append((block, _of_loop(own, block, regime)))
    return base, layers


def _of_loop(structure: Structure, block: Block, regime: Regime) -> Structure:
    """The same with what the length decides of the block's recurrence."""
    loop = next((loop for loop in regime.loops if loop.tokens == pass_tokens(block)), None)
    if loop is None:
        return structure
    return replace(structure, loop_passes=loop.passes, whole_chunks=loop.whole and structure.kept_dtype == "float32")


def _structure(
    request: PlanRequest, architecture: Architecture, setup: Setup, regime: Regime, gradients_exist: bool
) -> Structure:
    lora = request.lora_settings
    full = request.method == "full"
    checkpointing = request.gradient_checkpointing
    reentrant = request.gradient_checkpointing_kwargs.use_reentrant
    return Structure(
        family=layer_family(architecture),
        block=model_shape(architecture),
        dtype=setup.dtype,
        kept_dtype=setup.kept_dtype,
        compute_dtype=setup.compute_dtype,
        adapter_dtype=setup.adapter_dtype,
        train_base=full,
        adapted=frozenset(linear.leaf for linear in architecture.linears if linear.name in setup.adapted),
        quantized=frozenset(linear.leaf for linear in architecture.linears if linear.name in setup.quantized),
        adapter_dropout=lora is not None and lora.lora_dropout > 0,
        double_quant=setup.storage is not None and setup.storage.double_quant,
        quantization=setup.storage.method if setup.storage is not None else "bnb_4bit",
        attention=attention_of(request, architecture.model_type),
        mask=request.padding,
        window_mask=bool(regime.full_windows),
        autocast=AUTOCAST[request.mixed_precision],
        device=request.device,
        single_sequence=regime.single_sequence,
        input_requires_grad=True,
        checkpointing="none" if not checkpointing else "reentrant" if reentrant else "non_reentrant",
        gradients_exist=gradients_exist,
        loss=setup.loss,
        tied=architecture.tied,
        head_bias=architecture.head is not None and architecture.head.bias,
        final_softcap=architecture.final_softcap,
        embedding_dropout=architecture.embedding_dropout > 0,
        hooked_embeddings=not full and "embedding" not in setup.saved and input_gradient(request, setup),
        saved=setup.saved,
        kind=setup.kind,
        holds_4bit_input=setup.holds_4bit_input,
    )


def text_fields(architecture: Architecture) -> dict[str, object]:
    """The config's fields of the text model, which has a section of its own where there is a tower."""
    text = architecture.config.get("text_config")
    return text if isinstance(text, dict) else architecture.config


def _of_block(base: Structure, block: Block, architecture: Architecture, setup: Setup, window_mask: bool) -> Structure:
    config = text_fields(architecture)
    shape = replace(
        block_shape(block),
        norm_top_k=bool(config.get("norm_topk_prob")),
        clip_qkv=config.get("clip_qkv") is not None,
        scaled_queries=bool(config.get("attn_temperature_tuning")) and block_shape(block).position == "none",
    )
    if base.family == GENERIC:
        shape = replace(shape, roles=block_roles(block, architecture.hidden_size))
    prefix = f"{block.prefix}.*."
    names = [*(linear.name for linear in block.linears), *(tensor.name for tensor in block.tensors)]
    adapted = frozenset(n for n in names if prefix + n in setup.adapted)
    quantized = frozenset(x.name for x in block.linears if x.quantizable and prefix + x.name in setup.quantized)
    reaches_encoder = base.train_base or base.hooked_embeddings or any(n.startswith("encoder.") for n in setup.adapted)
    # what a layer's graph does not depend on takes one value, so that alike layers share a tape
    return replace(
        base,
        block=shape,
        adapted=adapted,
        quantized=quantized,
        kind=base.kind if adapted else "lora",
        holds_4bit_input=base.holds_4bit_input and bool(quantized),
        feedforward=frozenset(n for n in adapted if prefix + n in setup.feedforward),
        encoder_requires_grad=reaches_encoder or not shape.cross,
        window_mask=window_mask,
        adapter_dropout=base.adapter_dropout and bool(adapted),
        adapter_dtype=setup.adapter_dtype if adapted else setup.kept_dtype,
        double_quant=base.double_quant and bool(quantized),
        quantization=base.quantization if quantized else "bnb_4bit",
        compute_dtype=setup.compute_dtype if quantized else setup.dtype,
        loss="full",
        tied=False,
        head_bias=False,
        final_softcap=False,
        embedding_dropout=False,
        hooked_embeddings=False,
        saved=frozenset(),
    )


def around_layers(base: Structure) -> Structure:
    """The structure of embeddings, head and loss: what says how linears are adapted and quantized, if any there are."""
    adapted, quantized = bool(base.adapted), bool(base.quantized)
    return replace(
        base,
        compute_dtype=base.compute_dtype if quantized else base.dtype,
        adapter_dtype=base.adapter_dtype if adapted else base.kept_dtype,
        adapter_dropout=base.adapter_dropout and adapted,
        double_quant=base.double_quant and quantized,
        quantization=base.quantization if quantized else "bnb_4bit",
    )


Runs = list[tuple[Layer, int]]


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
        for entry, runs in zip(tape.entries, self.stacks, strict=True):
            best, at = model.highest(entry.forward)
            pieces = (*counted_layers(before, "passed"), *_pieces(model, at))
            yield Composition("forward", _sum(before, "passed") + best, pieces, "none")
            yield self._forward_layers(entry, runs, before)
            before = before + runs
        for phase, peaks in (("forward", tape.head), ("loss", tape.loss)):
            best, at = model.highest(peaks)
            pieces = (*counted_layers(before, "passed"), *_pieces(model, at))
            yield Composition(phase, _sum(before, "passed") + best, pieces, "none")

    def _forward_layers(self, entry: Entry, runs: Runs, before: Runs) -> Composition:
        model = self.model
        running = _sum(before, "passed") + model.total(entry.shared)
        highest, where = running, 0
        named = self._named_embeddings(entry, runs)
        named_bytes = model.total(named)
        for i, (layer, count) in enumerate(runs):
            moment = running + (count - 1) * layer.saved + layer.forward
            if i or count > 1:
                moment = moment + named_bytes
            highest, where = _higher(highest, where, moment, i)
            running = running + count * layer.saved
        found, count = runs[where]
        earlier = [*runs[:where], (found, count - 1)]
        shared = Live(entry.shared | named) if named and (where or count > 1) else entry.shared
        pieces = (
            (model, shared, 1),
            *counted_layers(before, "passed"),
            *counted_layers(earlier, "saved"),
            *found.at_work(found.forward_at),
        )
        return Composition("forward", highest, pieces, "none")

    @staticmethod
    def _named_embeddings(entry: Entry, runs: Runs) -> Live:
        """The first layer's input, which a local of the model's forward names, where that layer does not save it."""
        saved = any(label == "layer input" for label, _, _ in runs[0][0].tape.saved)
        return Live() if saved else entry.inputs_embeds

    def _backward(self, held: Callable[[str], int]) -> Iterable[Composition]:
        model, tape = self.model, self.tape
        best, at = model.highest(tape.backward_head)
        before = [run for runs in self.stacks for run in runs]
        pieces = (*counted_layers(before, "kept"), *_pieces(model, at))
        yield Composition("backward head", _sum(before, "kept") + best, pieces, "growing")
        after: Runs = []
        for i in range(len(self.stacks) - 1, -1, -1):
            entry, runs = tape.entries[i], self.stacks[i]
            before = before[: len(before) - len(runs)]
            yield self._backward_layers(entry, runs, before, after, held)
            after = runs + after
            best, at = model.highest(entry.backward)
            total = _sum(before, "kept") + _sum(after, "gradients") + best
            pieces = (*counted_layers(before, "kept"), *counted_layers(after, "gradients"), *_pieces(model, at))
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
        i, done = where
        found, count = runs[i]
        gone = {key for later in range(i + 1, len(runs)) for key in last_used(entry, runs, later)}
        pieces = (
            (self.model, _without(entry, gone), 1),
            *counted_layers([*before, *runs[:i], (found, count - done - 1)], "kept"),
            *found.at_work(found.backward_at),
            *counted_layers([(found, done), *runs[i + 1 :], *after], "gradients"),
        )
        at = _place(_number((*runs[i + 1 :], *after)) + done, total)
        return Composition("backward layers", highest - held(at), pieces, "growing", at)


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


def _pieces(part: Part, found: Candidate | None) -> tuple[tuple[Part, Live, int], ...]:
    return () if found is None else ((part, found[0].live(found[1]), 1),)


#: The gradients a layer leaves, as one entry: its bytes after sharding are the symbol's value.
LEFT = Live({("gradients", "gradients", ("layer_gradients",)): 1})


def counted_layers(runs: Iterable[tuple[Layer, int]], attribute: str) -> list[tuple[Part, Live, int]]:
    """Pieces of a composition: what layers keep, so many times."""
    if attribute == "gradients":
        left = [(layer.part, layer.left, count) for layer, count in runs if count and layer.left]
        return [*((layer.part, LEFT, count) for layer, count in runs if count), *left]
    return [(layer.part, getattr(layer.tape, attribute), count) for layer, count in runs if count]


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
    rank = request.lora_settings.r if request.lora_settings else 0
    dims = model_dims(architecture, batch, device_length(request, length), rank) | {"S_whole": length}
    layers: dict[int, Layer] = {}
    stacks: list[Runs] = []
    for stack in layout.stacks:
        for laid, _ in stack:
            if id(laid) not in layers:
                sizes = dims | laid.dims | sequence_dims(laid.dims, device_length(request, length))
                layer = layers[id(laid)] = _evaluate(laid, device_dims(request, sizes))
                if request.parallelism.context_parallel_size > 1:
                    layer.need(keys_and_values(request, laid.dims))
                if request.parallelism.activation_offloading:
                    layer.offload()
                layer.keep(left_gradients(request, layer.gradients, layout.kept_size, layout.made_size))
                layer.leave(layout.left)
        stacks.append([(layers[id(laid)], count) for laid, count in stack])
    return Step(Part(device_dims(request, dims)), layout.tape, stacks)


def representative(number: Number) -> int:
    """One value that decides the structure: arrays hold values of one structure only (planner/grid.py)."""
    return number if isinstance(number, int) else int(number.flat[0])


def attention_of(request: PlanRequest, model_type: str) -> AttentionName:
    """The attention that runs: transformers falls back to eager where a family has no sdpa."""
    if request.attn_implementation == "sdpa" and model_type in WITHOUT_SDPA:
        return "eager"
    return request.attn_implementation


def input_gradient(request: PlanRequest, setup: Setup) -> bool:
    """Whether a gradient flows to the first layer's input.

    Full fine-tuning trains the embeddings. With adapters enable_input_require_grads makes it so, which transformers
    5.23 calls whenever checkpointing is enabled on a model of input_ids (_activation_checkpointing_enable).
    """
    given = request.method == "full" or "embedding" in setup.saved or bool(setup.prompts)
    return given or request.gradient_checkpointing


def _evaluate(laid: Laid, dims: Dims) -> Layer:
    tape, part = laid.tape, Part(dims)
    forward, forward_at = part.highest(tape.forward)
    backward, backward_at = part.highest(tape.backward)
    saved, passed, kept = part.total(tape.saved), part.total(tape.passed), part.total(tape.kept)
    gradients = part.total(tape.gradients)
    return Layer(part, tape, saved, passed, kept, gradients, forward, backward, forward_at, backward_at, laid.kind)
