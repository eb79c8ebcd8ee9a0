"""How names are spelled: what counts as the same name, and which known names are close to an unknown one."""

from collections.abc import Mapping

_SEPARATORS = str.maketrans("", "", " \t\r\n_:-")
_VENDOR_WORDS = frozenset(
    ("nvidia", "geforce", "tesla", "quadro", "amd", "instinct", "radeon", "intel", "google", "apple", "gpu")
)

#: Organizations that republish models under the name of the original, and the endings they add.
_MIRRORS = ("unsloth", "nousresearch")
_MIRROR_ENDINGS = ("-bnb-4bit", "-unsloth")

_SHOWN_CHARACTERS = 80


def model_spelling(name: str) -> str:
    """A model's name without case and separators: ``Llama 3.1-8B`` and ``llama3.1:8b`` are one."""
    return name.casefold().translate(_SEPARATORS)


def gpu_spelling(name: str) -> str:
    """A card's name without case, separators and vendor: ``NVIDIA GeForce RTX 4090`` and ``rtx-4090`` are one."""
    words = name.casefold().replace("-", " ").replace("_", " ").split()
    return "".join(word for word in words if word not in _VENDOR_WORDS)


def mirrored_name(name: str) -> str | None:
    """The original's name if an organization known to republish others' models gave this one."""
    organization, _, original = name.strip().casefold().partition("/")
    if organization not in _MIRRORS:
        return None
    for ending in _MIRROR_ENDINGS:
        original = original.removesuffix(ending)
    return original


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
