"""A choice of target modules for people: "attention", in the names of the model at hand."""

from planner.architecture.blocks import Architecture
from planner.errors import RequestError
from planner.methods.targets import named_linears

#: Towers that read pictures and sound: what is named for the text's attention may be found there too, as PEFT does.
_TOWERS = ("visual", "vision", "audio")


def attention_linears(architecture: Architecture) -> list[str]:
    """Names that select the linears of the text's attention: the last part where no other kind of linear ends alike.

    Raises RequestError for a model without attention.
    """
    names = [name for name, _ in named_linears(architecture)]
    attention = [name for name in names if "att" in name.rpartition(".")[0].lower()]
    inside = [name for name in attention if not any(tower in name for tower in _TOWERS)] or attention
    if not inside:
        raise RequestError(
            f"target_modules 'attention': this {architecture.model_type} model has no attention layers; "
            "use all-linear, or name modules",
            "lora.target_modules",
        )
    outside = {name.rpartition(".")[2] for name in names if name not in attention}
    return sorted({_ending(name, outside) for name in inside})


def _ending(name: str, taken: set[str]) -> str:
    """The last part of a module's name, with its parent's where others end alike."""
    parent, _, leaf = name.rpartition(".")
    return f"{parent.rpartition('.')[2]}.{leaf}" if leaf in taken else leaf
