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


@pytest.mark.parametrize(
    ("model", "stack", "attention", "said"),
    [
        ("google/gemma-3-4b-pt", "transformers", "flash_attention_2", "no flash attention for gemma3"),
        ("google/gemma-3-4b-pt", "transformers@5.23", "flash_attention_2", None),
        ("google/gemma-3-4b-pt", "transformers", "sdpa", None),
        ("google/gemma-2-2b", "transformers", "sdpa", "no sdpa for gemma2"),
        ("google/gemma-2-2b", "transformers", "eager", None),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "transformers", "sdpa", "fails in the forward of llama4"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "transformers@5.23", "sdpa", None),
    ],
)
def test_what_the_release_refuses_is_said(model: str, stack: str, attention: str, said: str | None) -> None:
    fields = {"model": model, "method": "full", "stack": stack, "attn_implementation": attention}
    found = [
        note for note in estimate(parse_request(fields)).notes if "transformers 5." in note and "expert" not in note
    ]
    assert [said in note for note in found] == ([True] if said else [])
