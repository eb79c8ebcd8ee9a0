"""``plan --trace``: a plan whose tensor bytes come from fitted traces of the real libraries, not from closed forms.

It answers for every model_type that transformers builds, also those without a reader here.  What is around the
tensors (context, allocator, band, verdict, disk) is worked out as for any plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from planner import __version__
from planner.answer import CATEGORIES, PHASES, Category, Phase, PhaseBytes, Plan, Term
from planner.catalog import find_gpu
from planner.errors import RequestError
from planner.estimate import capability, disk_and_host, verdict_fields
from planner.memory.band import band_for
from planner.memory.ledger import CUBLAS_SOURCE, constant, runtime_terms
from planner.memory.runtime import (
    DeviceBytes,
    batch_bytes,
    context_bytes,
    cublas_workspace_bytes,
    device_bytes,
    with_slack,
)
from planner.optimizers import OPTIMIZERS
from planner.schema import SCHEMA_VERSION, PlanRequest
from planner.trace_sizes import Sizes

Fit = Mapping[str, Any]
Row = list[Fraction]

#: Share of the bytes by which the held-out trace may differ from the fit.
TOLERANCE = 1e-3
#: What a place's coefficients stand before once they are brought from steps of the grid to B and S.
_POWERS = ("", " x S", " x S^2", " x B", " x B x S", " x B x S^2")
_SOURCE = "traced: transformers, peft and bitsandbytes run on fake tensors (profiler/fit.py)"


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest place of a phase at one size: its bytes by category, and its coefficients."""

    phase: Phase
    live: dict[Category, int]
    coefficients: list[list[int]]

    @property
    def total(self) -> int:
        """Bytes of all categories."""
        return sum(self.live.values())


def check_fit(fit: Fit, sizes: Sizes) -> None:
    """Hold the fit against the trace that it has not seen.

    Raises RequestError where a phase differs by more than 0.1%.
    """
    batch, length = fit["held_out"]["size"]
    for peak in peaks(fit, sizes, batch, length):
        traced = fit["held_out"]["phases"][peak.phase]
        if abs(peak.total - traced) > TOLERANCE * traced:
            raise RequestError(
                f"the memory of this model is no polynomial of batch and length: fitted {peak.total:,} bytes, traced "
                f"{traced:,} at {batch} x {length} tokens ({peak.phase}); `tunebudget trace` answers for one size",
                "model",
            )


def peaks(fit: Fit, sizes: Sizes, batch: int, length: int) -> list[Peak]:
    """The highest place of each phase at a size."""
    steps = sizes.steps(batch, length)
    found = []
    for phase in PHASES:
        places = [(_evaluate(place, *steps), place) for place in fit["phases"].get(phase, ())]
        if places:
            row, place = max(places, key=lambda pair: sum(pair[0]))
            live = {c: round(value) for c, value in zip(fit["categories"], row, strict=True)}
            found.append(Peak(phase, live, place))
    return found


def _evaluate(place: Sequence[Sequence[int]], b: Fraction, t: Fraction) -> Row:
    """Bytes by category: coefficients are twice the bytes of each power."""
    powers = [Fraction(1), t, t * t]
    basis = [power * factor for factor in (Fraction(1), b)[: len(place) // 3] for power in powers]
    columns = zip(*place, strict=True)
    return [sum(c * p for c, p in zip(column, basis, strict=True)) / 2 for column in columns]


def traced_plan(request: PlanRequest, name: str, model_type: str, fit: Fit, sizes: Sizes, notes: list[str]) -> Plan:
    """The plan of a request from the fit of its model and settings."""
    batch, length = request.per_device_train_batch_size, request.max_length
    phases = peaks(fit, sizes, batch, length)
    top = max(phases, key=lambda peak: peak.total)
    gpu = find_gpu(request.gpu) if request.gpu is not None else None
    cublas = cublas_workspace_bytes(capability(gpu)) if request.device == "cuda" else 0
    ids = batch_bytes(request.device, "", request.padding == "padded", batch, length)
    # the bytes of tensors are those of the libraries' own code: as sure as a plan that equals it
    band = band_for(request, "exact")
    peak = top.total + cublas + ids
    usable = gpu.usable_bytes if gpu is not None else None
    on_device = device_bytes(peak, with_slack(peak), request, band, usable, context_bytes(capability(gpu)))
    by_phase = {peak.phase: peak for peak in phases}
    states = by_phase["between_steps"].live["optimizer"]
    paged = states if OPTIMIZERS[request.optim].paged and request.device == "cuda" else 0
    live = _with_constants(top, cublas + ids, on_device.runtime)
    values: dict[str, Any] = {
        "id": request.id,
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "model": name,
        "method": request.method,
        "total_params": fit["total_params"],
        "trainable_params": fit["trainable_params"],
        "peak_bytes": peak,
        "steady_bytes": by_phase["between_steps"].total + cublas + ids,
        "reserved_bytes": on_device.reserved,
        "device_bytes": on_device.device,
        "needed_bytes": on_device.needed,
        "peak_phase": top.phase,
        "low_bytes": on_device.low,
        "high_bytes": on_device.high,
        "certainty": "traced",
        "terms": _terms(top, sizes, request, cublas, ids, on_device),
        "timeline": tuple(_moment(peak, cublas + ids, on_device.runtime) for peak in phases),
        "notes": (_origin(fit, model_type), *fit["notes"], *notes),
    }
    values |= {f"{category}_bytes": live[category] for category in CATEGORIES}
    values |= disk_and_host(fit["base_params"], fit["trained_bytes"], states, paged)
    return Plan(**(values | verdict_fields(gpu, band, on_device, paged)))


def _origin(fit: Fit, model_type: str) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in fit["versions"].items())
    return f"tensor bytes of {model_type} are traced, not planned: the code of {versions} on fake tensors"


def _with_constants(peak: Peak, workspace: int, runtime: int) -> dict[Category, int]:
    """Live bytes of a moment with what the device needs besides."""
    live: dict[Category, int] = {category: peak.live.get(category, 0) for category in CATEGORIES}
    live["workspace"] += workspace
    live["runtime"] = runtime
    return live


def _moment(peak: Peak, workspace: int, runtime: int) -> PhaseBytes:
    live = _with_constants(peak, workspace, runtime)
    return PhaseBytes(peak.phase, sum(live.values()), live)


def _terms(
    peak: Peak, sizes: Sizes, request: PlanRequest, cublas: int, ids: int, device: DeviceBytes
) -> tuple[Term, ...]:
    """One term a category: its polynomial in batch and length, where the peak falls."""
    batch, length = request.per_device_train_batch_size, request.max_length
    terms = [
        Term(
            name=f"{category}, traced",
            category=category,
            bytes=num_bytes,
            formula=_formula([row[number] for row in peak.coefficients], sizes),
            inputs={"B": batch, "S": length},
            born="loaded" if category == "weights" else peak.phase,
            freed="between_steps" if category in ("weights", "optimizer", "gradients") else peak.phase,
            source=_SOURCE,
            certainty="traced",
        )
        for number, (category, num_bytes) in enumerate(peak.live.items())
    ]
    terms += [
        constant("cuBLAS workspace", "workspace", cublas, "forward", CUBLAS_SOURCE),
        constant("token ids and labels", "workspace", ids, "loaded", "the batch: 8 bytes a token and tensor"),
        *runtime_terms(device),
    ]
    return tuple(term for term in terms if term.bytes)


def _formula(coefficients: Sequence[int], sizes: Sizes) -> str:
    """The polynomial in B and S: coefficients are twice those of 1, t, t^2 and b times these."""
    parts = [_in_length(coefficients[i : i + 3], sizes) for i in range(0, len(coefficients), 3)]
    if len(parts) == 2:  # b counts batches in ones from one before the grid's first
        before = sizes.batches[0] - 1
        parts[0] = [one - before * two for one, two in zip(*parts, strict=True)]
    values = [value for part in parts for value in part]
    shown = [f"{_number(value)}{power}" for value, power in zip(values, _POWERS, strict=False) if value]
    return " + ".join(shown).replace("+ -", "- ") or "0"


def _in_length(coefficients: Sequence[int], sizes: Sizes) -> list[Fraction]:
    """Coefficients of 1, S and S^2, from twice those of 1, t and t^2."""
    c0, c1, c2 = (Fraction(c, 2) for c in coefficients)
    step = sizes.lengths[1] - sizes.lengths[0]
    start = sizes.lengths[0] - step
    return [
        c0 - c1 * start / step + c2 * start**2 / step**2,
        c1 / step - 2 * c2 * start / step**2,
        c2 / step**2,
    ]


def _number(value: Fraction) -> str:
    return f"{int(value):,}" if value.denominator == 1 else f"{float(value):,.4g}"
