"""What the topic "nf4" shows: codes and constants of the quantized linears, and what stays beside them."""

from collections.abc import Mapping

from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question, quantized_of
from planner.memory.inventory import Item
from planner.memory.quantized import BLOCK_4BIT, BLOCK_NESTED, CODE_4BIT, constants_bytes, packed_bytes
from planner.units import ITEMSIZE, gib

_CODES_PER_BYTE = 2
_BITS_PER_BYTE = 8
_LAYOUT = "bitsandbytes 0.50: QuantState"


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic.

    Raises RequestError where nothing is quantized.
    """
    facts = Facts()
    put_question(facts, case)
    quantized = quantized_of(case)
    quantization = case.request.quantization_settings
    assert quantization is not None
    _put_layout(facts, quantization.bnb_4bit_use_double_quant)
    elements = sum(i.elements for i in quantized)
    facts.put("N_q", elements, "count", "architecture: quantized linears")
    facts.put("n_tensors", sum(i.count for i in quantized), "count", "architecture: quantized linears")
    facts.put("M_plain", elements * ITEMSIZE["bfloat16"], "bytes", "architecture: quantized linears in bfloat16")
    single, double = (_constants(quantized, on) for on in (False, True))
    facts.put("constants_single", single, "bytes", _LAYOUT)
    facts.put("constants_double", double, "bytes", _LAYOUT)
    facts.put("saved", single - double, "bytes", _LAYOUT)
    held = sum(packed_bytes(i.numel) * i.count for i in quantized)
    constants = double if quantization.bnb_4bit_use_double_quant else single
    facts.put("ledger_quantized", held + constants, "bytes", f"{case.label}: codes and constants")
    facts.take(case.label, case.plan, "bytes", weights="weights_bytes")
    facts.put("rest", case.plan.weights_bytes - held - constants, "bytes", f"{case.label}: other weights")
    facts.put("kept_dtype", case.prepared.setup.kept_dtype, "text", "plan: dtype of what stays")
    experts = sum(i.elements for i in case.items if i.role == "other" and ".experts." in i.name)
    facts.flag(has_experts=experts)
    facts.put("experts", experts, "count", "architecture: stacks of experts")
    facts.cite(paper_bits="qlora-double-quant")
    return facts, {"weights": _weights(facts, case)}


def _put_layout(facts: Facts, double_quant: bool) -> None:
    facts.flag(double_quant=double_quant)
    facts.put("codes_per_byte", _CODES_PER_BYTE, "count", _LAYOUT)
    facts.put("bits_per_byte", _BITS_PER_BYTE, "count", "a byte")
    facts.put("levels", CODE_4BIT, "count", _LAYOUT)
    facts.put("block", BLOCK_4BIT, "count", _LAYOUT)
    facts.put("nested", BLOCK_NESTED, "count", _LAYOUT)
    facts.put("b_constant", ITEMSIZE["float32"], "count", _LAYOUT)
    facts.put("b_small", 1, "count", _LAYOUT)
    facts.put("tables", constants_bytes(0, double_quant), "count", _LAYOUT)


def _constants(quantized: list[Item], double_quant: bool) -> int:
    return sum(constants_bytes(i.numel, double_quant) * i.count for i in quantized)


def _weights(facts: Facts, case: Case) -> Grid:
    """Weights of the plan by kind."""
    terms = sorted(case.prepared.static.weight_terms, key=lambda term: -term.bytes)
    rows, origin = [], f"{case.label}: term"
    for i, term in enumerate(terms):
        name = cell(facts, f"weights_name_{i}", term.name, "text", origin)
        rows.append((name, cell(facts, f"weights_{i}", gib(term.bytes), "gib", origin)))
    return Grid(("weights", "GiB"), tuple(rows), (1,))
