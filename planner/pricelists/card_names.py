"""gpuhunt's names of cards: it gives one name to all form factors of a card, which cost and train differently."""

import re

from planner.catalog import GpuRow, find_gpu, list_prices
from planner.errors import UnknownGpuError

#: Share by which a stated memory may differ from the card's: clouds round in GiB or GB.
MEMORY_TOLERANCE = 0.15

#: Words of an instance's name that say the form factor.
_FORMS = {
    "pcie": "pcie",
    "nvl": "nvl",
    "sxm": "sxm",
    "hbm3": "sxm",
    "workstation": "workstation",
    "server": "server",
}

#: Instances that say it by their series, as the providers document them: provider, pattern, key of the catalogue.
_SERIES = (
    ("aws", r"p4d\.", "a100-40gb-sxm"),
    ("aws", r"p4de\.", "a100-80gb-sxm"),
    ("aws", r"p5\.", "h100-sxm"),
    ("aws", r"p5en?\.", "h200-sxm"),
    ("azure", r"Standard_NC\d+ads_A100_v4", "a100-80gb-pcie"),
    ("azure", r"Standard_ND96asr_v4", "a100-40gb-sxm"),
    ("azure", r"Standard_ND96amsr_A100_v4", "a100-80gb-sxm"),
    ("azure", r"Standard_NC\d+adi?s_H100_v5", "h100-nvl"),
    ("azure", r"Standard_ND96i?sr_H100_v5", "h100-sxm"),
    ("azure", r"Standard_ND96i?sr_H200_v5", "h200-sxm"),
    ("gcp", r"a2-(highgpu|megagpu)-", "a100-40gb-sxm"),
    ("gcp", r"a2-ultragpu-", "a100-80gb-sxm"),
    ("gcp", r"a3-(high|mega|edge)gpu-", "h100-sxm"),
    ("gcp", r"a3-ultragpu-", "h200-sxm"),
    ("gcp", r"g4-standard-", "rtx-pro-6000-server"),
    ("oci", r"BM\.GPU4\.", "a100-40gb-sxm"),
    ("oci", r"BM\.GPU\.A100-v2\.", "a100-80gb-sxm"),
    ("oci", r"BM\.GPU\.H100\.", "h100-sxm"),
    ("oci", r"BM\.GPU\.H200\.", "h200-sxm"),
    ("verda", r"\d+A100\.40S", "a100-40gb-sxm"),
    ("verda", r"\d+A100\.", "a100-80gb-sxm"),
    ("verda", r"\d+H100\.", "h100-sxm"),
    ("verda", r"\d+H200\.", "h200-sxm"),
)

#: Names that stand for several cards, by form factor: memory in GB -> keys by form factor.
_SEVERAL: dict[str, dict[int, dict[str, str]]] = {
    "a100": {
        40: {"pcie": "a100-40gb-pcie", "sxm": "a100-40gb-sxm"},
        80: {"pcie": "a100-80gb-pcie", "sxm": "a100-80gb-sxm"},
    },
    "h100": {80: {"pcie": "h100-pcie", "sxm": "h100-sxm"}, 94: {"nvl": "h100-nvl"}},
    "h200": {141: {"nvl": "h200-nvl", "sxm": "h200-sxm"}},
    "rtxpro6000": {96: {"workstation": "rtx-pro-6000", "server": "rtx-pro-6000-server"}},
}
#: Names for one form factor alone.
_ONE = {"h100nvl": "h100-nvl", "h200nvl": "h200-nvl"}


def card_key(provider: str, instance: str, gpu_name: str, memory_gb: float | None) -> str | None:
    """The catalogue's card of an offer, or None where name, memory and instance do not tell it from others."""
    key = _shipped(provider, instance) or _named(provider, instance, gpu_name.casefold(), memory_gb)
    if key is None or memory_gb is None:
        return key
    expected = find_gpu(key).memory_marketing_gb
    return key if abs(memory_gb - expected) <= MEMORY_TOLERANCE * expected else None


def _shipped(provider: str, instance: str) -> str | None:
    """What the table that ships says of this very instance."""
    keys = {
        row.gpu_key
        for row in list_prices(provider=provider)
        if row.instance_type == instance and row.origin == "shipped" and instance
    }
    return keys.pop() if len(keys) == 1 else None


def _named(provider: str, instance: str, name: str, memory_gb: float | None) -> str | None:
    if name in _ONE:
        return _ONE[name]
    if name not in _SEVERAL:
        found = _unambiguous(name, memory_gb)
        return None if found is None else found.key
    for whose, pattern, key in _SERIES:
        if whose == provider and re.match(pattern, instance):
            return key
    sizes = {size: keys for size, keys in _SEVERAL[name].items() if memory_gb is not None and _near(memory_gb, size)}
    words = {form for word, form in _FORMS.items() if word in instance.casefold()}
    found_keys = {key for keys in sizes.values() for form, key in keys.items() if form in words}
    return found_keys.pop() if len(found_keys) == 1 else None


def _near(memory_gb: float, size_gb: int) -> bool:
    return abs(memory_gb - size_gb) <= MEMORY_TOLERANCE * size_gb


def _unambiguous(name: str, memory_gb: float | None) -> GpuRow | None:
    size = "" if memory_gb is None else f" {memory_gb:g}gb"
    for spelled in (f"{name}{size}", name, f"rtx {name}"):
        try:
            return find_gpu(spelled)
        except UnknownGpuError:
            continue
    return None
