"""Notes of a plan: what is only modelled is named, and nothing else is."""

import pytest

from planner.estimate import estimate
from planner.schema import parse_request


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"loss": "fused"}, "tensors of the loss 'fused' are modelled"),
        ({"method": "adalora", "loss": "fused"}, "tensors of adalora are modelled"),
        ({"model": "state-spaces/mamba-2.8b-hf", "method": "full"}, "activations of mamba are modelled"),
    ],
)
def test_what_is_modelled_is_named(fields: dict[str, str], said: str | None) -> None:
    plan = estimate(parse_request({"model": "llama-3.2-1b", "method": "lora"} | fields))
    found = [note for note in plan.notes if "modelled, not held" in note]
    assert [note.split(", ")[0] for note in found] == ([] if said is None else [said])
