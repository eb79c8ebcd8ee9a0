"""``plan --trace``: the fit of a model's traces, from the user's cache or from the child process, made into a plan."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from planner import __version__
from planner.answer import Plan
from planner.cache import cache_file, read_cached, write_cached
from planner.catalog import resolve_config
from planner.child import PACKAGES, check_packages, run_child
from planner.cli.trace import TIME_LIMIT_SECONDS, progress_bar
from planner.errors import RequestError
from planner.schema import PlanRequest
from planner.stacks import in_stack
from planner.trace_sizes import Sizes, choose_sizes
from planner.traced import check_fit, traced_plan

#: Fields that do not change what is traced: a fit answers for all their values.
_FREE = {"id", "model", "per_device_train_batch_size", "max_length", "gpu"}
Fit = dict[str, Any]


def plan_by_trace(request: PlanRequest) -> Plan:
    """The plan whose tensor bytes are traced.

    Raises RequestError for a run of several devices, ChildError where the tracing process fails, and PlannerError with
    the libraries' own refusal.
    """
    check_packages("plan --trace")
    request = in_stack(request).request
    if request.num_gpus > 1:
        raise RequestError(
            f"num_gpus: {request.num_gpus} with --trace: one device is traced, without it all are planned"
        )
    name, config, _ = resolve_config(request.model)
    sizes = choose_sizes(request, config)
    path = cache_file("traces", _question(request, config, sizes))
    notes: list[str] = []

    def answer(fit: Fit) -> Plan:
        return traced_plan(request, name, str(config.get("model_type")), fit, sizes, notes)

    kept, note = read_cached(path)
    notes += [note] if note else []
    if kept is not None:
        try:
            return answer(kept)
        except (LookupError, TypeError, ValueError):
            notes.append(f"the cached file {path} is ignored: it is no fit of traces")
    return answer(_traced(request, name, config, sizes, path, notes))


def _traced(request: PlanRequest, name: str, config: dict[str, Any], sizes: Sizes, path: Path, notes: list[str]) -> Fit:
    """Trace, hold the fit against the size held out, and keep it."""
    grid = {"batches": sizes.batches, "lengths": sizes.lengths, "held_out": sizes.held_out}
    data = request.model_dump(mode="json", exclude_unset=True) | {"model": config}
    task = {"level": "fit", "name": name, "request": data, "sizes": grid}
    with progress_bar() as show:
        fit = run_child(task, show, TIME_LIMIT_SECONDS)
    check_fit(fit, sizes)
    note = write_cached(path, fit)
    notes += [note] if note else []
    return fit


def _question(request: PlanRequest, config: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    """What a fit answers: config, settings, the side of the sizes, and the versions of all code that was run."""
    return {
        "config": config,
        "settings": request.model_dump(mode="json", exclude=_FREE),
        "sizes": [sizes.batches, sizes.lengths, sizes.held_out],
        "versions": {name: _version(name) for name in PACKAGES} | {"tunebudget": __version__},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
