"""Every model of the catalogue is read to the exact number of its parameters."""

import pytest

from planner.architecture.read import FAMILIES, read_architecture
from planner.catalog import ModelRow, list_models, load_config

MODELS = list_models()


@pytest.mark.parametrize("row", MODELS, ids=[row.id for row in MODELS])
def test_num_params_is_the_verified_count(row: ModelRow) -> None:
    architecture = read_architecture(load_config(row), row.id)

    assert architecture.num_params == row.params
    assert architecture.model_type == row.model_type
    assert architecture.num_layers > 0


def test_every_family_of_the_catalogue_has_a_reader() -> None:
    assert {row.model_type for row in MODELS} <= set(FAMILIES)


def test_names_are_unique_in_every_model() -> None:
    for row in MODELS:
        architecture = read_architecture(load_config(row))
        blocks = [(b.prefix, index) for b in architecture.blocks for index in b.indices]
        assert len(blocks) == len(set(blocks)), row.id
        for block in architecture.blocks:
            names = [x.name for x in block.linears] + [t.name for t in block.tensors]
            assert len(names) == len(set(names)), row.id
        outside = [x.name for x in architecture.linears] + [t.name for t in architecture.tensors + architecture.buffers]
        assert len(outside) == len(set(outside)), row.id


def test_layers_of_each_stack_are_numbered_without_a_gap() -> None:
    for row in MODELS:
        stacks: dict[str, list[int]] = {}
        for block in read_architecture(load_config(row)).blocks:
            stacks.setdefault(block.prefix, []).extend(block.indices)
        for prefix, indices in stacks.items():
            assert sorted(indices) == list(range(len(indices))), (row.id, prefix)
