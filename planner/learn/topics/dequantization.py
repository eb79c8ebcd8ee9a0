"""What the topic "dequantization" shows: the buffer of one layer, and what a micro-batch moves."""

from collections.abc import Mapping

from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import put_question, quantized_of
from planner.memory.quantized import constants_bytes
from planner.units import ITEMSIZE

#: Passes that use each layer: forward and backward; and the second forward of a checkpoint.
_PASSES, _RECOMPUTED = 2, 1
_CODE_BYTES = 0.5


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic.

    Raises RequestError where nothing is quantized.
    """
    facts, setup = Facts(), case.prepared.setup
    put_question(facts, case)
    quantized = quantized_of(case)
    quantization = case.request.quantization_settings
    assert quantization is not None
    largest = max(quantized, key=lambda item: item.numel)
    rows, columns = largest.shape[-2:]
    facts.put("example", largest.name.removesuffix(".weight").rpartition(".*.")[2], "text", "architecture: a linear")
    facts.put("d", rows, "count", "architecture: out_features")
    facts.put("k", columns, "count", "architecture: in_features")
    put_passes(facts, case)
    constants = sum(constants_bytes(i.numel, quantization.bnb_4bit_use_double_quant) * i.count for i in quantized)
    facts.put("b_read", ITEMSIZE[setup.compute_dtype], "count", "request: bnb_4bit_compute_dtype")
    facts.put("constants", constants, "bytes", "bitsandbytes 0.50: QuantState")
    return facts, {}


def put_passes(facts: Facts, case: Case) -> None:
    """How often a micro-batch dequantizes, how many weights, and their bytes."""
    setup = case.prepared.setup
    quantized = quantized_of(case)
    facts.put("compute_dtype", setup.compute_dtype, "text", "request: bnb_4bit_compute_dtype")
    facts.put("b_compute", ITEMSIZE[setup.compute_dtype], "count", "request: bnb_4bit_compute_dtype")
    facts.put("b_code", _CODE_BYTES, "plain", "bitsandbytes: two codes a byte")
    facts.put("N_q", sum(i.elements for i in quantized), "count", "architecture: quantized linears")
    times = _PASSES + (_RECOMPUTED if case.request.gradient_checkpointing else 0)
    facts.put("n_times", times, "count", "passes: forward, backward, and forward again for a checkpoint")
