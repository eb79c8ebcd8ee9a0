"""How names are spelled: what counts as the same name, and which known names are close to an unknown one."""

import re
from collections.abc import Mapping

#: Organizations that republish models under the name of the original, and the endings they add.
_MIRRORS = ("unsloth/", "nousresearch/")
_MIRROR_ENDING = re.compile(r"(-unsloth)?-bnb-4bit$")

_SEPARATORS = re.compile(r"[\s_:\-]+")
_VENDOR_WORDS = re.compile(r"\b(nvidia|geforce|tesla|quadro|amd|instinct|radeon|intel|google|apple|gpu)\b")
_SHOWN_CHARACTERS = 80


def model_spelling(name: str) -> str:
    """A model's name without case and separators: ``Llama 3.1-8B`` and ``llama3.1:8b`` are one."""
    return _SEPARATORS.sub("", name.casefold())


def gpu_spelling(name: str) -> str:
    """A card's name without case, separators and vendor: ``NVIDIA GeForce RTX 4090`` and ``rtx-4090`` are one."""
    return _SEPARATORS.sub("", _VENDOR_WORDS.sub("", name.casefold().replace("_", " ")))


def mirrored_name(name: str) -> str | None:
    """The original's name if an organization known to republish others' models gave this one."""
    lowered = name.strip().casefold()
    for organization in _MIRRORS:
        if lowered.startswith(organization):
            return _MIRROR_ENDING.sub("", lowered.removeprefix(organization))
    return None


def closest(spelled: str, known: Mapping[str, str], limit: int = 4) -> list[str]:
    """Names of ``known`` (spelling to name shown) that contain an unknown spelling, or else resemble it."""
    from difflib import get_close_matches

    spelled = spelled[:_SHOWN_CHARACTERS]
    containing = [spelling for spelling in known if spelled and spelled in spelling]
    near = containing or get_close_matches(spelled, known, n=3 * limit, cutoff=0.6)
    return list(dict.fromkeys(known[spelling] for spelling in near))[:limit]


def shown(text: str) -> str:
    """What a person gave, quoted, on one line and not longer than a line."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
