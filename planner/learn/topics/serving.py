"""What the topic "serving" shows: one base with adapters, held against a whole model a task."""

from collections.abc import Mapping

from planner.catalog import find_gpu
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.serving.estimate import hold, part_bytes, serving, serving_terms
from planner.serving.request import AdapterGroup, ServeRequest
from planner.serving.scenario import ways
from planner.units import gib

#: Tasks of the walk-through, and of its table.
_TASKS = 20
_MANY = (1, 5, 20, 100)


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, request = Facts(), _request(case, _TASKS)
    put_question(facts, case, has_batch=False)
    lora = request.adapters[0].lora
    held = hold(request)
    parts = part_bytes(serving_terms(request, held))
    facts.put("n", _TASKS, "count", "request: adapters of a serving request")
    facts.put("r", lora.r, "count", "request: lora.r")
    facts.put("W_base", parts["base"], "bytes", "planner/serving: base")
    facts.put("M_adapter", parts["adapters"] // _TASKS, "bytes", "planner/serving: adapters / tasks")
    facts.put("M_cache", parts["cache"], "bytes", "planner/serving: cache")
    facts.put("M_runtime", parts["runtime"], "bytes", "planner/serving: runtime")
    facts.put("served", serving(request).total_bytes, "bytes", "planner/serving: total_bytes")
    quantized = request.quantization is not None
    facts.put("base_words", "quantized" if quantized else request.dtype, "text", "request: method and dtype")
    facts.put("adapter_dtype", held.adapters[0][1][0].dtype, "text", "planner/serving: dtype of adapters")
    facts.put("sequences", request.max_num_seqs, "count", "serving request: max_num_seqs")
    facts.put("length", request.max_model_len, "count", "serving request: max_model_len")
    facts.put("gpu", find_gpu(str(request.gpu)).key, "text", "request: gpu")
    return facts, {"tenants": _tenants(facts, case)}


def _request(case: Case, tasks: int) -> ServeRequest:
    """The reader's base and adapters, served on their card."""
    request = case.request
    lora = request.lora_settings
    assert lora is not None
    return ServeRequest(
        model=request.model,
        gpu=request.gpu,
        dtype=request.dtype,
        quantization=request.quantization_settings,
        adapters=(AdapterGroup(count=tasks, lora=lora),),
        max_model_len=max(request.max_length, 1),
    )


def _tenants(facts: Facts, case: Case) -> Grid:
    rows = []
    for tasks in _MANY:
        request = _request(case, tasks)
        shared, whole = ways(request, serving(request))
        values = [gib(way.serving_bytes) for way in (shared, whole)]
        values += [gib(way.storage_bytes) for way in (shared, whole)]
        origin = "planner/serving: ways"
        cells = [cell(facts, f"tasks_{tasks}_{i}", value, "two", origin) for i, value in enumerate(values)]
        cards = [way.cards or 0 for way in (shared, whole)]
        cells += [cell(facts, f"tasks_{tasks}_cards_{i}", number, "count", origin) for i, number in enumerate(cards)]
        rows.append((cell(facts, f"tasks_{tasks}", tasks, "count", "request: adapters of a variant"), *cells))
    columns = ("tasks", "shared GiB", "whole GiB", "files, shared", "files, whole", "cards, shared", "cards, whole")
    return Grid(columns, tuple(rows), tuple(range(len(columns))))
