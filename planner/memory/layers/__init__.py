"""Layer code by family: each module mirrors the modelling code of one family of transformers on a tape."""

from importlib import import_module
from types import ModuleType

from planner.errors import ArchitectureError

#: model_type -> module of this package whose `embed`, `layer` and `loss` mirror the family's forward.
FAMILIES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "llama",
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
