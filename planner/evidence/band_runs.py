"""The runs that the bands are fitted to: every figure with a fully stated configuration that the planner answers."""

from collections.abc import Iterable, Iterator

from planner.catalog.measurements import explanations
from planner.catalog.rows.band import UNNAMED, BandRunRow
from planner.evidence.score import Evidence

#: Digits of a kept log ratio.
_DIGITS = 7
#: A prediction that changed by less than half a percent has not moved.
_MOVED = 0.005


def band_runs(found: Iterable[Evidence], unnamed: Iterable[Evidence] = ()) -> Iterator[BandRunRow]:
    """The runs behind the bands, a device after the other; unnamed: the same asked without their stack.

    What no request says (data/measurements/explanations.csv, beyond_request) tells nothing of a named stack's spread;
    among the unnamed it stays. Our own CPU runs are of exact answers alone: CPU answers of other certainties take the
    spread of published tensor bytes, which are counted the same way.
    """
    beyond = beyond_requests()
    evidence = [one for one in found if one.full and one.log_ratio is not None and one.id not in beyond]
    yield from (_run(one, "cuda", one.asked_stack) for one in evidence if one.device == "cuda" and one.asked_stack)
    yield from (_run(one, "cuda", UNNAMED) for one in unnamed if one.full and one.log_ratio is not None)
    yield from (_run(one, "cpu") for one in evidence if one.device == "cpu")
    yield from (_run(one, "cpu") for one in evidence if one.device == "cuda" and _stands_for_cpu(one))


def beyond_requests() -> frozenset[str]:
    """Figures of runs that did, or that count, what no request says."""
    return frozenset(row.id for row in explanations().values() if row.beyond_request)


def moved(kept: Iterable[BandRunRow], now: Iterable[BandRunRow]) -> int:
    """How many runs' predictions moved, came or went since the bands were fitted to them."""
    before = {_key(run): run.log_ratio for run in kept}
    after = {_key(run): run.log_ratio for run in now}
    same = [key for key in before.keys() & after.keys() if abs(before[key] - after[key]) < _MOVED]
    return len(before.keys() | after.keys()) - len(same)


def _key(run: BandRunRow) -> tuple[str, str, bool]:
    return run.id, run.device, run.stack == UNNAMED


def _stands_for_cpu(one: Evidence) -> bool:
    return one.level == "tensors" and one.num_gpus == 1 and one.certainty != "exact"


def _run(one: Evidence, device: str, stack: str = UNNAMED) -> BandRunRow:
    assert one.log_ratio is not None
    return BandRunRow.model_validate(
        {
            "id": one.id,
            "source": one.source,
            "device": device,
            "devices": "one" if one.num_gpus == 1 else "several",
            "certainty": one.certainty,
            "stack": stack.partition("@")[0],
            "level": one.level,
            "log_ratio": round(one.log_ratio, _DIGITS),
        }
    )
