"""A request as this machine can run it: on the device that is here, with its config put in, cut where asked."""

from collections.abc import Mapping
from typing import Any

from planner.catalog import resolve_config
from planner.errors import RequestError
from planner.runs.machine import available_bytes
from planner.runs.shallow import cut_layers, depth_of
from planner.schema import PlanRequest, parse_request

Device = Mapping[str, Any]


def host() -> Device:
    """The CPU as a device, told without torch."""
    return {"device": "cpu", "platform": "cpu", "name": "CPU", "free_bytes": available_bytes()}


def choose_device(request: PlanRequest, devices: list[dict[str, Any]]) -> Device:
    """The device of a run: the kind the request names, or the first that was found.

    Raises RequestError where there is none of that kind.
    """
    if "device" not in request.model_fields_set:
        return devices[0]
    for device in devices:
        if device["device"].partition(":")[0] == request.device:
            return device
    found = ", ".join(d["device"] for d in devices)
    raise RequestError(
        f"device {request.device!r}: not found here (found: {found}); leave --device out to run on what is there, and "
        "see `tunebudget doctor` for what is missing",
        "device",
    )


def request_here(request: PlanRequest, device: Device, num_layers: int | None = None) -> tuple[str, PlanRequest]:
    """The model's name and the request for this device: what the child runs and what the plan beside it answers.

    A request that names a card is run on what is here; XPU and MPS are planned as CUDA is.
    """
    name, config, _ = resolve_config(request.model)
    if num_layers is not None:
        config = cut_layers(config, num_layers)
    data = request.model_dump(mode="json", exclude_unset=True) | {
        "model": dict(config),
        "device": "cpu" if device["device"] == "cpu" else "cuda",
    }
    data.pop("gpu", None)
    return name, parse_request(data)


def notes_here(request: PlanRequest, device: Device, num_layers: int | None) -> list[str]:
    """What the run does not take from the request as it was given."""
    notes = []
    if request.gpu is not None:
        notes.append(f"gpu {request.gpu}: run on what is here, {device['name']}")
    if num_layers is not None:
        _, config, _ = resolve_config(request.model)
        notes.append(f"the first {num_layers} of {depth_of(config)} layers; the plan beside it is of the same")
    return notes
