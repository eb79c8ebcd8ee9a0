"""PEFT's modules_to_save: the token embedding and the head, trained as copies beside the frozen originals."""

from typing import Literal

from planner.architecture.blocks import Architecture
from planner.errors import RequestError
from planner.methods.spellings import EMBEDDING_NAMES, HEAD_NAMES

Saved = Literal["embedding", "head"]


def saved_modules(architecture: Architecture, names: tuple[str, ...], other_spellings: bool) -> frozenset[Saved]:
    """Which of the two a request's modules_to_save means.

    Source: peft 0.21 utils/other.py _set_trainable and ModulesToSaveWrapper: names match endings of module paths.
    other_spellings: names of the same module in other libraries count too. Raises RequestError for any other module.
    """
    return frozenset(_meaning(architecture, name, other_spellings) for name in names)


def _meaning(architecture: Architecture, name: str, other_spellings: bool) -> Saved:
    embedding, head = embedding_module(architecture), architecture.head
    if embedding and f".{embedding}".endswith(f".{name}"):
        return "embedding"
    if head is not None and f".{head.name}".endswith(f".{name}"):
        return "head"
    if other_spellings and embedding and name in EMBEDDING_NAMES:
        return "embedding"
    if other_spellings and head is not None and name in HEAD_NAMES:
        return "head"
    known = " and ".join(filter(None, (embedding, head.name if head else "")))
    raise RequestError(
        f"lora.modules_to_save: {name!r} is neither the token embedding nor the head of this {architecture.model_type} "
        f"model, and others are not modelled: name {known or 'none'}",
        "lora.modules_to_save",
    )


def embedding_module(architecture: Architecture) -> str:
    """Path of the token embedding; empty where there is none."""
    tables = [t for t in architecture.tensors if t.role == "embedding" and architecture.vocab_size in t.shape]
    return tables[0].name.removesuffix(".weight") if tables else ""
