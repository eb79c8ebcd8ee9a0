"""Questions on adapters and on quantized bases."""

from random import Random

from planner.drills.drill import Drill
from planner.drills.memory_questions import total
from planner.drills.pools import (
    RANKS,
    adapted_shapes,
    counted,
    fields_of,
    model,
    plan_of,
    request_of,
    short,
)
from planner.learn.cases import Case
from planner.schema import PlanRequest
from planner.units import format_count


def lora_request(rng: Random) -> PlanRequest:
    """LoRA of a rank on the attention's linears or on all."""
    lora: dict[str, object] = {"r": rng.choice(RANKS)}
    name = model(rng)
    if rng.random() < 0.5:
        attention = Case(request_of(model=name, method="lora")).attention_linears
        lora["target_modules"] = attention or "all-linear"
    return request_of(model=name, method="lora", lora=lora)


def _shapes(request: PlanRequest) -> tuple[str, list[str], str]:
    """The adapted linears in words, a line a linear of the derivation, and the rank."""
    assert request.lora_settings is not None
    r = request.lora_settings.r
    shapes = adapted_shapes(Case(request))
    words = ", ".join(f"{name} {out:,} x {inner:,}" for name, out, inner, _ in shapes)
    lines = [
        f"{name}: {layers} layers x {r} x ({inner:,} + {out:,}) = {layers * r * (inner + out):,}"
        for name, out, inner, layers in shapes
    ]
    return f"{shapes[0][3]} layers with {words}", lines, str(r)


def trained(rng: Random) -> Drill:
    request = lora_request(rng)
    plan = plan_of(request)
    shapes, lines, r = _shapes(request)
    return Drill(
        "lora",
        "number",
        f"LoRA of rank {r} on these linears of {short(plan.model)}: {shapes}. How many parameters are trained?",
        (*lines, f"trained in all: {plan.trainable_params:,}"),
        fields_of(request),
        "parameters",
        plan.trainable_params,
        0.02,
    )


def share(rng: Random) -> Drill:
    request = lora_request(rng)
    plan = plan_of(request)
    shapes, lines, r = _shapes(request)
    value = plan.trainable_params / plan.total_params
    base = plan.total_params - plan.trainable_params
    return Drill(
        "lora",
        "number",
        f"LoRA of rank {r} on a model of {format_count(base)} parameters: {shapes}. Which share of all "
        f"parameters, the "
        "adapter's among them, is trained?",
        (*lines, f"{plan.trainable_params:,} of {plan.total_params:,}"),
        fields_of(request),
        "share",
        value,
    )


def file_size(rng: Random) -> Drill:
    request = lora_request(rng)
    plan = plan_of(request)
    shapes, lines, r = _shapes(request)
    assert request.lora_settings is not None
    size = plan.adapter_bytes // plan.trainable_params
    return Drill(
        "lora",
        "number",
        f"LoRA of rank {r} on a 16-bit base: {shapes}. How large is the file of the adapter that PEFT saves?",
        (
            *lines,
            f"PEFT keeps adapters of a 16-bit base in float32: {size} bytes each",
            total("file", plan.adapter_bytes),
        ),
        fields_of(request),
        "memory",
        plan.adapter_bytes,
    )


def nf4(rng: Random) -> Drill:
    double = rng.choice((True, False))
    request = request_of(model=model(rng), method="qlora", quantization={"bnb_4bit_use_double_quant": double})
    plan = plan_of(request)
    terms = [t for t in plan.terms if t.name.startswith("4-bit")]
    size, quantized = sum(t.bytes for t in terms), terms[0].inputs["parameters"]
    return Drill(
        "quantization",
        "number",
        f"{quantized:,} parameters of {counted(plan)} stand in linears that bitsandbytes quantizes to NF4, "
        f"{'with' if double else 'without'} double quantization. How much memory do they take, constants included?",
        (
            *(f"{t.name}: {t.formula} = {t.bytes:,} bytes" for t in terms),
            total("4-bit linears", size),
            f"source: {terms[0].source}",
        ),
        fields_of(request),
        "memory",
        size,
        0.015,
    )


def kept(rng: Random) -> Drill:
    """What prepare_model_for_kbit_training leaves in float32, which beginners forget."""
    request = request_of(model=model(rng), method="qlora", stack="transformers")
    plan = plan_of(request)
    names = ("embeddings", "norm weights", "linear weights")
    terms = [t for t in plan.terms if t.category == "weights" and t.name.startswith(names)]
    size, elements = sum(t.bytes for t in terms), sum(int(t.inputs["elements"]) for t in terms)
    return Drill(
        "quantization",
        "number",
        f"In QLoRA of {short(plan.model)}, {elements:,} parameters of embeddings, head and norms are not "
        f"quantized. How "
        "much memory do they take after prepare_model_for_kbit_training?",
        (
            *(f"{t.name}: {t.formula} = {t.bytes:,} bytes" for t in terms),
            "it casts every parameter that stays in 16 bits to float32",
        ),
        fields_of(request),
        "memory",
        size,
    )
