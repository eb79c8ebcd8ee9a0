"""Open questions: a model answer with the planner's numbers in it, and the points that a good one hits."""

from random import Random

from planner.drills.drill import Drill, Point
from planner.drills.pools import counted, fields_of, live, model, plan_of, request_of, short
from planner.memory.quantized import BLOCK_4BIT
from planner.schema import PlanRequest
from planner.units import format_count, format_gib


def what_lora_saves(rng: Random) -> Drill:
    name = model(rng)
    request = request_of(model=name, method="lora")
    plan, full = plan_of(request), plan_of(request_of(model=name, method="full"))
    answer = (
        f"LoRA freezes the weights and trains two small matrices beside each: "
        f"{format_count(plan.trainable_params)} of "
        f"{format_count(plan.total_params)} parameters. Gradients and optimizer states shrink with them: the "
        f"states from "
        f"{format_gib(live(full, 'between_steps', 'optimizer'))} to "
        f"{format_gib(live(plan, 'between_steps', 'optimizer'))}. "
        f"The base stays loaded, {format_gib(plan.weights_bytes)}, and so do the activations, as backward runs "
        f"through "
        "every layer all the same; of the work only the weight gradients are saved."
    )
    points = (
        Point("gradients only for the adapters", ("gradient",)),
        Point("optimizer states shrink with them", ("optimizer", "adam", "states", "moments")),
        Point(
            "the frozen weights stay in memory", ("frozen", "base stays", "base model", "weights stay", "still load")
        ),
        Point("activations stay", ("activation",)),
    )
    return _open(
        f"What does LoRA save when {counted(full)} is fine-tuned, and what does it not?", answer, points, request
    )


def what_qlora_adds(rng: Random) -> Drill:
    name = model(rng)
    request = request_of(model=name, method="qlora")
    plan, lora = plan_of(request), plan_of(request_of(model=name, method="lora"))
    answer = (
        f"The frozen base is kept in 4-bit NF4, with a constant a block of {BLOCK_4BIT} that double quantization "
        f"quantizes "
        f"again: "
        f"{format_gib(plan.weights_bytes)} of weights instead of {format_gib(lora.weights_bytes)}. Every product "
        "dequantizes its weight to 16 bits first, in forward and in backward, which costs time and one weight's "
        "workspace. "
        "Embeddings, head and norms are not quantized, and stay in 16 bits or go to float32. Adapters, their "
        "gradients and "
        "states are as in LoRA; paged optimizers only help at peaks."
    )
    points = (
        Point("4-bit NF4 for the frozen base", ("nf4", "4-bit", "4 bit", "four bit")),
        Point("double quantization of the constants", ("double", "constants", "absmax")),
        Point("dequantized for each product", ("dequant",)),
        Point("slower than LoRA", ("slow", "time", "overhead")),
        Point("embeddings and head stay unquantized", ("embedding", "head")),
    )
    return _open(
        f"What does QLoRA change against LoRA for {short(plan.model)}, and at what price?", answer, points, request
    )


def checkpointing(rng: Random) -> Drill:
    request = request_of(model=model(rng), method="lora", max_length=2048)
    plan = plan_of(request)
    without = plan_of(request.model_copy(update={"gradient_checkpointing": False}))
    answer = (
        "Only each layer's input is kept in forward; backward runs a layer's forward again and then has that layer's "
        f"activations alone. For {request.per_device_train_batch_size} x {request.max_length:,} tokens of "
        f"{short(plan.model)} with LoRA the peak falls from "
        f"{format_gib(without.peak_bytes)} to {format_gib(plan.peak_bytes)}. It costs one more forward pass, "
        f"about a third "
        "more operations in full fine-tuning. Weights, gradients and states do not change, and the logits may "
        "become the peak."
    )
    points = (
        Point("keeps only the layers' inputs", ("input", "hidden state", "boundar")),
        Point("recomputes in backward", ("recomput", "again", "second forward", "re-run", "rerun")),
        Point(
            "costs about a third more operations", ("third", "33", "30%", "slower", "one more forward", "extra forward")
        ),
        Point("weights and optimizer states stay", ("weights", "optimizer", "states")),
    )
    return _open("What does gradient checkpointing do to memory and time?", answer, points, request)


def merge_or_serve(rng: Random) -> Drill:
    request = request_of(model=model(rng), method="lora")
    plan = plan_of(request)
    answer = (
        f"Merging adds B A times alpha / r to the weights: no cost at inference, but every task is a whole model "
        f"again, "
        f"{format_gib(plan.weights_bytes)} each for {short(plan.model)}. Unmerged, many adapters share one base "
        f"and are "
        f"{format_gib(plan.adapter_bytes)} each, batches can mix tasks, and each adapted linear costs two thin "
        f"products "
        "more. Merging into a 4-bit base loses precision: dequantize first, or keep the adapter apart."
    )
    points = (
        Point("merged: no cost at inference", ("no cost", "no overhead", "no latency", "same speed", "free at")),
        Point("merged: a whole model for each task", ("whole model", "full model", "copy", "each task", "per task")),
        Point("unmerged: many adapters share one base", ("share", "one base", "many adapters", "multiple adapters")),
        Point("merging into a quantized base loses precision", ("4-bit", "quantiz", "precision", "round")),
    )
    return _open("When would you merge an adapter into its base, and when serve it unmerged?", answer, points, request)


def which_peak(rng: Random) -> Drill:
    request = request_of(model=model(rng), method="qlora", max_length=4096)
    plan = plan_of(request)
    answer = (
        f"After the weights ({format_gib(plan.weights_bytes)}) it is what grows with batch x length: with "
        f"checkpointing "
        f"the logits over the vocabulary and their float32 copies ({format_gib(plan.logits_bytes)} of "
        f"{short(plan.model)} at its peak), the layers' kept inputs ({format_gib(plan.activations_bytes)} of "
        f"activations) and "
        "the layer at work. Shorter sequences, a chunked or fused loss, a smaller batch with accumulation, and "
        "attention "
        "without stored scores (sdpa, flash attention) all help; a lower rank hardly does."
    )
    points = (
        Point("logits over the vocabulary", ("logit", "vocab")),
        Point("batch or length", ("batch", "length", "sequence", "shorter")),
        Point("a chunked or fused loss", ("chunk", "fused", "liger", "cut cross")),
        Point("accumulation keeps the batch", ("accumulat",)),
        Point("the rank hardly matters", ("rank",)),
    )
    text = "A QLoRA run with checkpointing is out of memory by a little. Where do you look, and what do you change?"
    return _open(text, answer, points, request)


def _open(text: str, answer: str, points: tuple[Point, ...], request: PlanRequest) -> Drill:
    return Drill(
        "open",
        "open",
        text,
        tuple(point.text for point in points),
        fields_of(request),
        answer=answer,
        points=points,
    )
