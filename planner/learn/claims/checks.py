"""Which check is made of which claim."""

from collections.abc import Callable
from functools import cache

from planner.catalog.claims import find_claim
from planner.catalog.rows.claim import ClaimRow
from planner.learn.claims import adapters, fits, mechanics, memory, quality, rates, speed
from planner.learn.claims.checked import Checked
from planner.learn.claims.words import words_of_claims
from planner.learn.template import filled

_CHECKS: dict[str, Callable[[ClaimRow], Checked]] = {
    **dict.fromkeys(("c01", "c02", "c03", "c04", "c05", "c06", "c07"), memory.needs),
    "c08": fits.on_one_card,
    "c09": memory.saving,
    "c10": memory.saving,
    "c11": memory.three_methods,
    **dict.fromkeys(("c12", "c13", "c14"), memory.in_parts),
    "c15": memory.weights,
    "c16": memory.double_quantization,
    "c17": adapters.file_size,
    "c18": adapters.file_size,
    "c19": adapters.trainable_share,
    "c20": mechanics.shapes,
    "c21": speed.slower,
    "c22": speed.as_fast,
    "c23": quality.kept,
    "c24": speed.cost_ratio,
    "c25": rates.rented,
    "c26": rates.rented,
    "c27": rates.owned,
    "c28": speed.three_costs,
    "c29": mechanics.shared_base,
    "c30": fits.trials,
    "c31": speed.scenario,
    "c32": speed.scenario,
    "c33": mechanics.shared_base,
    "c34": adapters.usual_rank,
    "c35": adapters.dtype_of_adapters,
    "c36": mechanics.what_learns,
    "c37": mechanics.paging,
    "c38": adapters.where_they_go,
    "c39": quality.examples,
    "c40": fits.on_24_gb,
}


@cache
def check_claim(name: str) -> Checked:
    """The verdict on one claim, computed over the settings that it leaves open.

    Raises RequestError for an unknown claim.
    """
    return _CHECKS[name](find_claim(name))


def explanation(name: str) -> str:
    """The settings that make it true, or the mistake behind it, in words with the facts put in."""
    return filled(words_of_claims()[name], check_claim(name).facts)
