"""A card that the catalogue does not have, spelled out in the request: ``own:usable_gib=44.5,mem_bandwidth_gb_s=864``.

Such a card is a name like any other: it goes into a flag, a request file and a link.
"""

from datetime import date
from functools import lru_cache
from typing import NoReturn

from planner.catalog.names import shown
from planner.catalog.rows.gpu import GpuRow
from planner.errors import UnknownGpuError
from planner.units import GB, GIB, MIB

PREFIX = "own:"

#: What can be said of a card: name -> (least, most). The rates are dense, in 10^12 operations a second.
FIELDS: dict[str, tuple[float, float]] = {
    "usable_gib": (0.25, 4096),
    "mem_bandwidth_gb_s": (1, 10**6),
    "bf16_dense_tflops": (0.01, 10**6),
    "fp16_dense_tflops": (0.01, 10**6),
    "fp32_tflops": (0.01, 10**6),
    "tdp_w": (1, 10**5),
    "compute_capability": (1, 99),
}
_EXAMPLE = "own:usable_gib=44.5,mem_bandwidth_gb_s=864"


def is_own(name: str) -> bool:
    """Whether the name spells a card out."""
    return name.strip().lower().startswith(PREFIX)


def own_gpu_name(**values: float | None) -> str:
    """The name that spells a card out by what is known of it."""
    said = (f"{name}={value:.10g}" for name, value in values.items() if value is not None)
    return PREFIX + ",".join(said)


@lru_cache(maxsize=256)
def own_gpu(name: str) -> GpuRow:
    """The card that the name spells out; only usable_gib is needed.

    Raises UnknownGpuError with one line: what was given, the rule.
    """
    values = _values(name)
    if "usable_gib" not in values:
        _refuse(name, "usable_gib is missing: what a process can allocate")
    usable_bytes = values.pop("usable_gib") * GIB
    capability = values.pop("compute_capability", None)
    text = f"own card with {usable_bytes / GIB:g} GiB"
    return GpuRow(
        key=name.strip(),
        name=text,
        vendor="nvidia",
        architecture="own",
        compute_capability=None if capability is None else f"{capability:.1f}",
        memory_marketing_gb=usable_bytes / GB,
        memory_total_mib=int(usable_bytes) // MIB,
        memory_total_source="given in the request",
        usable_mib=int(usable_bytes) // MIB,
        usable_source="derived: given in the request",
        source_url="given in the request",
        as_of=date.min,
        **values,
    )


def _values(name: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for part in name.strip()[len(PREFIX) :].split(","):
        field, _, text = (piece.strip() for piece in part.partition("="))
        if field not in FIELDS:
            _refuse(name, f"{shown(field)} is none of {', '.join(FIELDS)}")
        try:
            value = float(text)
        except ValueError:
            _refuse(name, f"{field} must be a number")
        least, most = FIELDS[field]
        if not least <= value <= most:
            _refuse(name, f"{field} must be from {least:g} to {most:g}")
        values[field] = value
    return values


def _refuse(name: str, reason: str) -> NoReturn:
    raise UnknownGpuError(f"gpu {shown(name)}: {reason}; spell a card out as {_EXAMPLE}", "gpu") from None
