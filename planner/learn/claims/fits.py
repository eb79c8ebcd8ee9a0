"""Claims about what fits on which card, and how often."""

from collections.abc import Iterator

from planner.catalog import GpuRow, find_gpu
from planner.catalog.rows.claim import ClaimRow
from planner.learn.claims.checked import Checked, Found, agreed
from planner.learn.claims.settings import needed_gb
from planner.units import GB

#: Cards of the sizes that one can rent or buy, one a size.
_CARDS = ("rtx-4080", "rtx-4090", "rtx-5090", "a100-40gb-sxm", "rtx-a6000", "h100-sxm", "h200", "b200")


def _cards() -> Iterator[tuple[GpuRow, str]]:
    cards = sorted((find_gpu(name) for name in _CARDS), key=lambda gpu: gpu.usable_bytes)
    for card in cards:
        yield card, f"{card.memory_marketing_gb:g} GB card"


def on_one_card(row: ClaimRow) -> Checked:
    """Which single cards hold it: in any of the settings, by size of card."""
    assert row.model_b is not None
    found, agrees = [], []
    for card, words in _cards():
        for one in needed_gb(max(row.model_b, 70 if row.model_b > 60 else 0), row.method):
            found.append(Found(dict(one.settings) | {"card": words}, one.value))
            agrees.append(one.value * GB <= card.usable_bytes)
    checked = agreed(found, agrees, "GB")
    holding = [one.settings["card"] for one, fits in zip(found, agrees, strict=True) if fits]
    smallest = next(words for _, words in _cards() if words in holding)
    checked.facts.put("smallest_card", smallest, "text", "catalogue: the smallest card with a setting that fits")
    checked.facts.put("least", min(one.value for one in found), "quoted_gb", "plan: smallest device_bytes")
    return checked


def on_24_gb(row: ClaimRow) -> Checked:
    """On one card of the size that the claim names."""
    assert row.model_b is not None
    card = find_gpu("rtx-4090")
    found = needed_gb(row.model_b, row.method)
    checked = agreed(found, [one.value * GB <= card.usable_bytes for one in found], "GB")
    checked.facts.put("card", card.name, "text", "catalogue: name")
    checked.facts.put("usable", card.usable_bytes / GB, "quoted_gb", "catalogue: usable_mib")
    return checked


def trials(row: ClaimRow) -> Checked:
    """How many runs of one kind fit on a card at once, QLoRA over LoRA in the same setting."""
    assert row.model_b is not None
    lora = {tuple(one.settings.values()): one.value for one in needed_gb(row.model_b, "lora")}
    found, agrees = [], []
    for card, words in _cards():
        for one in needed_gb(row.model_b, "qlora"):
            usable = card.usable_bytes / GB
            mine, theirs = usable // one.value, usable // lora[tuple(one.settings.values())]
            if mine:
                found.append(Found(dict(one.settings) | {"card": words}, mine))
                agrees.append(mine > theirs)
    return agreed(found, agrees, "trials on a card")
