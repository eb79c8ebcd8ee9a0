"""Tapes shared by structures that the layer code cannot tell apart."""

from dataclasses import replace
from itertools import product
from types import ModuleType

import pytest

from planner.architecture.read import read_architecture
from planner.catalog import resolve_config
from planner.memory import taped
from planner.memory.inventory import resolve_setup
from planner.memory.layers import family_module
from planner.memory.structure import Structure, regime_of
from planner.memory.structures import structures
from planner.memory.watched import Shared
from planner.schema import parse_request

Made = tuple[Shared[int], list[Structure]]


def structure_of(model: str, **fields: object) -> Structure:
    """The structure of a model's first kind of layer."""
    request = parse_request({"model": model, "method": "lora", **fields})
    name, config, _ = resolve_config(model)
    architecture = read_architecture(config, name)
    setup = resolve_setup(request, architecture)
    _, layers = structures(request, architecture, setup, regime_of(architecture, 2, 128), False)
    return layers[0][1]


@pytest.fixture
def made() -> Made:
    """A maker that looks at the dtype and at one field of the block, and the structures it was asked to tape."""
    asked: list[Structure] = []

    def make(family: ModuleType, s: Structure) -> int:
        asked.append(s)
        return len(s.dtype) + s.block.grouped

    return Shared(make), asked


def test_a_structure_that_differs_in_what_was_not_read_takes_the_same_tape(made: Made) -> None:
    shared, asked = made
    first = structure_of("llama-3.2-1b")
    assert shared(first) == shared(replace(first, single_sequence=True, attention="eager"))
    assert shared(replace(first, block=replace(first.block, num_norms=9))) == shared(first)
    assert len(asked) == shared.num_tapes == 1


def test_a_structure_that_differs_in_what_was_read_gets_a_tape_of_its_own(made: Made) -> None:
    shared, asked = made
    first = structure_of("llama-3.2-1b")
    shared(first)
    shared(replace(first, dtype="float32"))
    shared(replace(first, block=replace(first.block, grouped=not first.block.grouped)))
    assert len(asked) == shared.num_tapes == 3


def test_of_a_method_what_it_reads_counts() -> None:
    shared = Shared(lambda family, s: s.adapter_dtype_of("lm_head"))
    first = structure_of("llama-3.2-1b")
    shared(first)
    shared(replace(first, attention="eager"))
    assert shared.num_tapes == 1
    shared(replace(first, stack_adapter_dtype="bfloat16"))
    assert shared.num_tapes == 2


def test_families_with_the_same_layer_code_share(made: Made) -> None:
    shared, asked = made
    shared(structure_of("llama-3.2-1b"))
    shared(structure_of("mistralai/Mistral-7B-v0.1"))
    assert len(asked) == 1


def test_a_shared_tape_is_the_one_that_would_be_made_anew() -> None:
    settings = product(("llama-3.2-1b", "qwen2.5-7b"), ("sdpa", "eager"), (False, True), ("none", "padded"))
    for model, attention, checkpointing, padding in settings:
        s = structure_of(model, attn_implementation=attention, gradient_checkpointing=checkpointing, padding=padding)
        shared, anew = taped.tape_layer(s), taped._tape_layer(family_module(s.family), s)
        assert shared.forward.changes == anew.forward.changes
        assert shared.backward.changes == anew.backward.changes
        assert (shared.saved, shared.kept, shared.gradients) == (anew.saved, anew.kept, anew.gradients)
