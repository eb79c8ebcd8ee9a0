"""From a request and a card to the time of its step."""

from dataclasses import replace

from planner.catalog.rows.gpu import GpuRow
from planner.memory.dims import Number
from planner.prepare import prepare
from planner.schema import PlanRequest
from planner.throughput.answer import StepTime
from planner.throughput.constants import Constants, constants
from planner.throughput.rates import rates_of
from planner.throughput.reading import as_run
from planner.throughput.step_time import Asked, ask, step_time


def asked_of(request: PlanRequest, flops: Number | None = None) -> Asked:
    """The request's step, as it is run, put to the clock; flops: of all devices, where they are known.

    Raises PlannerError where the request cannot be planned.
    """
    stacked, prepared = prepare(as_run(request))
    request = stacked.request
    return ask(request, prepared, request.per_device_train_batch_size, request.max_length, flops)


def step_time_of(
    request: PlanRequest,
    gpu: GpuRow,
    offloaded_bytes: Number = 0,
    paged_bytes: Number = 0,
    flops: Number | None = None,
    c: Constants | None = None,
) -> StepTime:
    """The time of a request's step on its cards; bytes and flops as in `Asked`.

    Raises PlannerError where the request cannot be planned, or a rate of the card was not seen.
    """
    c = c or constants()
    rates = rates_of(gpu, c)
    asked = asked_of(request, flops)
    if offloaded_bytes or paged_bytes:
        asked = replace(asked, offloaded_bytes=offloaded_bytes, paged_bytes=paged_bytes)
    return step_time(asked, rates, c)
