"""Terms of the ledger: one named share of the peak each, with its formula, inputs, source and certainty."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from planner.answer import Category, Certainty, Phase, Term
from planner.architecture.blocks import Architecture
from planner.memory.dims import DIVISORS
from planner.memory.evaluated import Part
from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE, Key, Monomial
from planner.memory.quantized import Storage
from planner.memory.sharding import share
from planner.memory.states import StateBytes
from planner.memory.step import Composition
from planner.optimizers import Optimizer

TORCH = "torch 2.13 derivatives.yaml"
AUTOGRAD = "torch 2.13 autograd accumulate_grad.h"
LOADED: tuple[Phase, Phase] = ("loaded", "between_steps")


def plain(
    name: str,
    category: Category,
    num_bytes: int,
    formula: str,
    life: tuple[Phase, Phase],
    source: str,
    shards: int = 1,
    **inputs: int,
) -> Term:
    """An exact term; where it is sharded, its share of a device."""
    if shards > 1:
        formula, inputs["devices"] = f"({formula}) / devices", shards
    return Term(
        name=name,
        category=category,
        bytes=share(num_bytes, shards),
        formula=formula,
        inputs=dict(inputs),
        born=life[0],
        freed=life[1],
        source=source,
        certainty="exact",
    )


# -- weights and states ----------------------------------------------------------------------------------------------

_ROLE_NAMES = {
    "linear": "linear weights",
    "bias": "biases",
    "bias_4bit": "biases of 4-bit linears",
    "embedding": "embeddings",
    "norm": "norm weights",
    "adapter": "adapters",
    "buffer": "buffers",
    "other": "other parameters",
}
_ROLE_SOURCES = {
    "adapter": "Hu et al. 2021 (LoRA), section 4.1: B in R^(d x r), A in R^(r x k); peft 0.21",
}


def weight_terms(items: Sequence[Item], setup: Setup, shards: int) -> Iterable[Term]:
    """The weights of one device by kind and dtype; of quantized ones, which are given whole, the codes are divided."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        loaded = setup.kept_dtype if item.role == "bias_4bit" else item.dtype
        groups.setdefault((item.role, "" if item.role == "linear_4bit" else loaded), []).append(item)
    for (role, dtype), members in groups.items():
        elements = sum(i.elements for i in members)
        source = _ROLE_SOURCES.get(role, "shapes of the config; transformers 5.23")
        if role == "linear_4bit":
            assert setup.storage is not None
            yield from _quantized_terms(members, setup.storage, shards)
            continue
        size = ITEMSIZE[dtype]
        name = f"{_ROLE_NAMES[role]} ({dtype})"
        yield plain(name, "weights", size * elements, f"{size} x elements", LOADED, source, elements=elements)


def _quantized_terms(members: Sequence[Item], storage: Storage, shards: int) -> Iterable[Term]:
    elements, source = sum(i.elements for i in members), storage.source
    codes = sum(storage.codes_bytes(i.shape, i.numel) * i.count for i in members)
    constants = sum(storage.constants_bytes(i.shape, i.numel) * i.count for i in members)
    name, bits = f"{storage.bits}-bit weights ({storage.name})", storage.bits
    formula = "parameters" if bits == 8 else "parameters / 2" if bits == 4 else f"parameters x {bits} / 8"
    yield plain(name, "weights", codes, formula, LOADED, source, shards, parameters=elements)
    name = f"{bits}-bit block constants"
    yield plain(name, "weights", constants, storage.formula, LOADED, source, parameters=elements)


def state_terms(optimizer: Optimizer, states: StateBytes, items: Sequence[Item]) -> Iterable[Term]:
    """Optimizer states by kind."""
    trained = sum(i.elements for i in items if i.has_gradient)
    life: tuple[Phase, Phase] = ("optimizer_step", "between_steps")
    formulas = {
        "parameter": f"{optimizer.num_states} x trained parameters x bytes of their dtype",
        "float32": f"{optimizer.num_states} x 4 x trained parameters",
        "blockwise_8bit": f"{optimizer.num_states} x trained parameters (x 4 for tensors under 4,096 elements)",
        "blockwise_4bit": f"{optimizer.num_states} x trained parameters / 2 (their own dtype under 4,096 elements)",
        "factored": "4 x (rows + columns) of each trained matrix, 4 x elements of each vector",
    }
    yield plain(
        f"{optimizer.name} states",
        "optimizer",
        states.moments,
        formulas[optimizer.state_format],
        life,
        optimizer.source,
        trained=trained,
    )
    if states.constants:
        four = optimizer.state_format == "blockwise_4bit"
        blocks = "128 elements + 64 a tensor" if four else "256 elements"
        formula, name = f"{optimizer.num_states} x 4 a block of {blocks}", f"{4 if four else 8}-bit state constants"
        yield plain(name, "optimizer", states.constants, formula, life, optimizer.source, trained=trained)
    if states.scalars:
        yield plain("step counters", "optimizer", states.scalars, "4 a trained tensor", life, optimizer.source)


# -- what the step makes ---------------------------------------------------------------------------------------------


def activation_terms(
    composition: Composition, phase: Phase, architecture: Architecture, certainty: Certainty
) -> list[Term]:
    """The activations, logits, workspace and growing gradients of a moment, largest first."""
    merged: dict[tuple[Key, int, int], tuple[int, Part]] = {}
    growing = 0
    for part, live, pieces in composition.pieces:
        sizes = part.sizes
        for name, coefficient in live.items():
            size = sizes[name[2]]
            if name[1] == "gradients":
                growing += coefficient * size * pieces
                continue
            key = (name, coefficient, size)
            merged[key] = (merged[key][0] + pieces if key in merged else pieces, part)
    terms = [_term(key, times, part, phase, architecture, certainty) for key, (times, part) in merged.items()]
    if growing:
        terms.append(
            Term(
                name="gradients of the parts already passed",
                category="gradients",
                bytes=growing,
                formula="sum over trained tensors behind this moment of parameters x bytes of their dtype",
                inputs={},
                born="backward_head",
                freed="between_steps",
                source=AUTOGRAD,
                certainty=certainty,
            )
        )
    return sorted(terms, key=lambda term: -term.bytes)


def _term(
    key: tuple[Key, int, int],
    times: int,
    part: Part,
    phase: Phase,
    architecture: Architecture,
    certainty: Certainty,
) -> Term:
    (label, category, monomial), coefficient, size = key
    born, freed = _lifetime(category, phase)
    formula = _formula(coefficient, monomial)
    inputs: dict[str, int | float | str] = {s: part.dims[s] for s in monomial if s not in DIVISORS}
    if times > 1:
        formula, inputs["times"] = f"{formula} x {times} layers", times
    return Term(
        name=label,
        category=category,
        bytes=coefficient * size * times,
        formula=formula,
        inputs=inputs,
        born=born,
        freed=freed,
        source=_source(label, category, architecture.model_type),
        certainty=certainty,
    )


def _lifetime(category: Category, phase: Phase) -> tuple[Phase, Phase]:
    if category == "activations":
        return "forward", "backward_layers"
    if category == "logits":
        return "forward", "backward_head"
    return phase, phase


@lru_cache(maxsize=4096)
def _formula(coefficient: int, monomial: Monomial) -> str:
    symbols = [str(coefficient), *(s for s in monomial if s not in DIVISORS)]
    return " x ".join(symbols) + "".join(f" / {DIVISORS[s]}" for s in monomial if s in DIVISORS)


@lru_cache(maxsize=4096)
def _source(label: str, category: Category, model_type: str) -> str:
    if "adapt" in label or "defensive" in label:
        return f"peft 0.21 tuners/lora; {TORCH}"
    if "4-bit" in label or "dequantized" in label or "block constants" in label:
        return "bitsandbytes 0.50 autograd/_functions.py MatMul4Bit"
    if category == "logits":
        return f"transformers 5.23 loss/loss_utils.py ForCausalLMLoss; {TORCH}"
    return f"transformers 5.23 models/{model_type}/modeling_{model_type}.py; {TORCH}"
