"""Claims about adapters: their size, their share, their rank, their dtype, and where they go."""

from collections.abc import Iterator

from planner.catalog.rows.claim import ClaimRow
from planner.learn.claims.checked import Checked, Found, agreed, judged
from planner.learn.claims.settings import models_of, request_of
from planner.memory.inventory import Item
from planner.prepare import prepare
from planner.schema import STACKS, PlanRequest
from planner.units import ITEMSIZE

MB = 10**6
_RANKS = (4, 8, 16, 32, 64)
_TARGETS = ("attention", "all-linear")
_FILE_DTYPES = ("bfloat16", "float32")


def _adapters(request: PlanRequest) -> list[Item]:
    return [item for item in prepare(request)[1].static.items if item.role == "adapter"]


def _counts(billions: float) -> Iterator[tuple[dict[str, str], int, int]]:
    """Settings, adapter parameters, and the model's own."""
    for model in models_of(billions):
        for targets in _TARGETS:
            for rank in _RANKS:
                request = request_of({"model": model, "method": "lora", "lora": {"r": rank, "target_modules": targets}})
                adapters = sum(item.elements for item in _adapters(request))
                base = prepare(request)[1].model.architecture.num_params
                yield {"model": model, "targets": targets, "rank": f"r {rank}"}, adapters, base


def file_size(row: ClaimRow) -> Checked:
    """The adapter as a file, in 16-bit or in fp32."""
    assert row.model_b is not None and row.low is not None and row.high is not None
    found = [
        Found(words | {"dtype": dtype}, adapters * ITEMSIZE[dtype] / MB)
        for words, adapters, _ in _counts(row.model_b)
        for dtype in _FILE_DTYPES
    ]
    return judged(found, row.low, row.high, "MB")


def trainable_share(row: ClaimRow) -> Checked:
    """Trained parameters in percent of the model's own."""
    assert row.model_b is not None and row.low is not None and row.high is not None
    found = [Found(words, 100 * adapters / base) for words, adapters, base in _counts(row.model_b)]
    return judged(found, row.low, row.high, "percent")


def usual_rank(row: ClaimRow) -> Checked:
    """The ranks that stacks set by default, and what rank does to the number of parameters."""
    assert row.low is not None and row.high is not None
    found = []
    for stack in STACKS:
        lora = prepare(request_of({"model": "gpt2", "method": "lora", "stack": stack}))[0].request.lora_settings
        assert lora is not None
        found.append(Found({"stack": stack}, lora.r))
    checked = agreed(found, [row.low <= one.value <= row.high for one in found], "rank by default")
    low, high = (sum(i.elements for i in _adapters(_llama(int(rank)))) for rank in (row.low, row.high))
    checked.facts.put("times", high / low, "ratio", "architecture: adapters at the higher rank / at the lower")
    checked.facts.put("rank_times", row.high / row.low, "ratio", "the claim's own ranks")
    checked.sources = ("biderman-code-low", "biderman-code-high")
    return checked


def _llama(rank: int) -> PlanRequest:
    return request_of({"model": "meta-llama/Llama-2-7b-hf", "method": "lora", "lora": {"r": rank}})


def dtype_of_adapters(row: ClaimRow) -> Checked:
    """Bytes of an adapter's number on a quantized base, by stack."""
    found = []
    for stack in STACKS:
        adapters = _adapters(request_of({"model": "meta-llama/Llama-2-7b-hf", "method": "qlora", "stack": stack}))
        found.append(Found({"stack": stack}, ITEMSIZE[adapters[0].dtype]))
    checked = agreed(found, [one.value == ITEMSIZE["bfloat16"] for one in found], "bytes a number")
    checked.sources = ("peft", "qlora")
    return checked


def where_they_go(row: ClaimRow) -> Checked:
    """Of the adapters that target_modules places, how much is in the attention, in percent."""
    choices = {"q_proj and v_proj": ("q_proj", "v_proj"), "the attention": "attention", "all-linear": "all-linear"}
    found = []
    for words, targets in choices.items():
        lora = {"target_modules": targets}
        adapters = _adapters(request_of({"model": "meta-llama/Llama-2-7b-hf", "method": "lora", "lora": lora}))
        inside = sum(item.elements for item in adapters if ".self_attn." in item.name)
        found.append(Found({"target_modules": words}, 100 * inside / sum(item.elements for item in adapters)))
    checked = agreed(found, [one.value == 100 for one in found], "percent of adapter parameters in the attention")
    checked.facts.put("all_linear", found[-1].value / 100, "share", "architecture: adapters in the attention / all")
    checked.sources = ("lora-attention", "qlora-all-layers")
    return checked
