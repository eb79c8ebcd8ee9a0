"""The standard grid: methods x checkpointing x lengths on a tiny and a small model, each a run of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import median
from typing import Any

from planner.errors import PlannerError
from planner.runs.here import Device
from planner.runs.record import Record, peak_ratio
from planner.runs.start import Listener, Options, find_device, profile_here
from planner.schema import METHODS, PlanRequest, parse_request

_TINY = {
    "model_type": "llama", "_name_or_path": "tiny", "hidden_size": 128, "intermediate_size": 352,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1024,
}  # fmt: skip
_SMALL = {
    "model_type": "llama", "_name_or_path": "small", "hidden_size": 320, "intermediate_size": 896,
    "num_hidden_layers": 6, "num_attention_heads": 5, "num_key_value_heads": 5, "vocab_size": 8192,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {"tiny": _TINY, "small": _SMALL}
LENGTHS = (128, 256)


@dataclass(frozen=True, slots=True)
class Summary:
    """How near the plan was, and what following cost; shares, medians over the runs that ended with an answer."""

    num_runs: int
    num_failed: int
    median_error: float | None
    worst_error: float | None
    median_steady_error: float | None
    followed_over_free: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON."""
        return asdict(self)


def grid(device: str | None = None) -> Iterator[PlanRequest]:
    """The requests, on whatever device is here or on the one named."""
    chosen = {} if device is None else {"device": device}
    for (name, model), method, length, checkpointing in product(MODELS.items(), METHODS, LENGTHS, (False, True)):
        yield parse_request(
            chosen
            | {
                "id": f"{name}-{method}-{length}{'-checkpointing' if checkpointing else ''}",
                "model": model,
                "method": method,
                "max_length": length,
                "gradient_checkpointing": checkpointing,
            }
        )


def run_suite(
    requests: Sequence[PlanRequest],
    options: Options,
    listener: Listener,
    finished: Callable[[Record], None],
    device: Device | None = None,
) -> list[Record]:
    """Run the requests one after the other; a run that fails is a record like the others; stops when asked."""
    device = device or find_device(requests[0])
    records: list[Record] = []
    for request in requests:
        if listener.should_stop():
            break
        try:
            records.append(profile_here(request, options, listener, device))
        except PlannerError as error:
            records.append(_refused(request, device, error))
        finished(records[-1])
    return records


def _refused(request: PlanRequest, device: Device, error: PlannerError) -> Record:
    return {
        "status": "refused",
        "error": error.message,
        "id": request.id,
        "model": str(request.id),
        "method": request.method,
        "hardware": dict(device),
        "request": request.model_dump(mode="json", exclude_unset=True),
    }


def summarize(records: Sequence[Record]) -> Summary:
    """The figures of a suite."""
    done = [record for record in records if record["status"] == "done"]
    errors = [abs((peak_ratio(record) or 0) - 1) for record in done]
    steady = [abs(record["plan"]["steady_bytes"] / record["steady_bytes"] - 1) for record in done]
    costs: dict[str, list[float]] = {}
    for record in done:
        cost = record["followed_step_seconds"] / record["step_seconds_median"]
        costs.setdefault(record["model"], []).append(cost)
    return Summary(
        len(records),
        len(records) - len(done),
        median(errors) if errors else None,
        max(errors, default=None),
        median(steady) if steady else None,
        {model: median(values) for model, values in costs.items()},
    )
