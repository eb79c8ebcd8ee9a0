"""Layer code by family: each module mirrors the modelling code of one family of transformers on a tape."""

from importlib import import_module
from types import ModuleType

from planner.answer import Certainty
from planner.architecture.blocks import Architecture
from planner.errors import ArchitectureError
from planner.schema import PlanRequest

#: model_type -> module of this package whose `embed`, `layer` and `loss` mirror the family's forward.
FAMILIES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "llama",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "granite": "granite",
    "olmo2": "olmo2",
    "phi3": "phi3",
    "smollm3": "smollm3",
}


def family_module(model_type: str) -> ModuleType:
    """The layer code of a family.

    Raises ArchitectureError for a family without one.
    """
    if model_type not in FAMILIES:
        raise ArchitectureError(
            f"model_type {model_type!r} has no activation model; known: {', '.join(sorted(FAMILIES))}", "model"
        )
    return import_module(f"planner.memory.layers.{FAMILIES[model_type]}")


def activation_certainty(request: PlanRequest, architecture: Architecture) -> Certainty:
    """How sure the activations are: exact where the family's code is mirrored, modelled elsewhere."""
    mirrored = architecture.model_type in FAMILIES and request.loss == "full"
    return "exact" if mirrored else "modelled"
