"""What a visitor adds for the length of the visit: own models by their config.json, and own cards.

A model's config stays in the visit: a link names it and does not hold it; the request as JSON does.
"""

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from planner.architecture.blocks import Architecture
from planner.architecture.read import read_architecture
from planner.catalog import find_gpu
from planner.catalog.config_file import parse_config
from planner.errors import ArchitectureError, PlannerError
from ui.names import OWN_PREFIX

MAX_MODELS = 10
MAX_CARDS = 10
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def own_models() -> dict[str, dict[str, Any]]:
    """The configs by the names they are asked for by."""
    kept: dict[str, dict[str, Any]] = st.session_state.setdefault("own_models", {})
    return kept


def own_cards() -> list[str]:
    """The cards, spelled out."""
    kept: list[str] = st.session_state.setdefault("own_cards", [])
    return kept


def add_model(name: str, content: bytes) -> str:
    """Keep a config.json under a name; the name it got.

    Raises PlannerError with one line for what is no config, or none that can be planned.
    """
    config = parse_config(name or "config.json", content)
    key = model_name(name, config)
    read_own(config)
    kept = own_models()
    if key not in kept and len(kept) >= MAX_MODELS:
        raise PlannerError(f"{MAX_MODELS} own models are kept at most: forget one first")
    kept[key] = {**config, "_name_or_path": key}
    return key


def read_own(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a config that a stranger gave.

    Raises PlannerError with one line whatever it holds.
    """
    try:
        return read_architecture(dict(config))
    except PlannerError:
        raise
    except Exception as error:
        raise ArchitectureError(f"config.json: cannot be read as a model ({type(error).__name__})", "model") from None


def model_name(name: str, config: Mapping[str, Any]) -> str:
    """How an own model is called: as its owner says, else as its config does."""
    said = name or str(config.get("_name_or_path") or config.get("model_type") or "model")
    plain = _NAME.sub("-", said.rpartition("/")[2].removesuffix(".json")).strip("-.")[:40]
    return f"{OWN_PREFIX}{plain or 'model'}"


def add_card(spelled: str) -> str:
    """Keep a card that is spelled out.

    Raises PlannerError with one line where the spelling is none.
    """
    card = find_gpu(spelled)
    kept = own_cards()
    if card.key not in kept:
        if len(kept) >= MAX_CARDS:
            raise PlannerError(f"{MAX_CARDS} own cards are kept at most: start the visit anew")
        kept.append(card.key)
    return card.key
