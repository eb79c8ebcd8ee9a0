"""Questions on weights, gradients, optimizer states, logits and the cache."""

from random import Random

from planner.answer import Term
from planner.drills.drill import Drill
from planner.drills.pools import BATCHES, LENGTHS, counted, fields_of, live, model, plan_of, request_of, short
from planner.optimizers import OPTIMIZERS
from planner.serving.estimate import serving
from planner.serving.request import parse_serve_request
from planner.units import ITEMSIZE

_OPTIMS = ("adamw_torch_fused", "adamw_torch_fused", "adamw_bnb_8bit")
#: Cards' sequences at one time, and lengths, of a cache.
_SEQUENCES, _CACHE_LENGTHS = (1, 4, 8, 16, 32, 64), (2048, 4096, 8192, 16384, 32768)


def weights(rng: Random) -> Drill:
    dtype = rng.choice(tuple(ITEMSIZE))
    request = request_of(model=model(rng), method="full", dtype=dtype)
    plan = plan_of(request)
    terms = [term for term in plan.terms if term.category == "weights"]
    return Drill(
        "weights",
        "number",
        f"How much memory do the weights of {counted(plan)} take, loaded in {dtype}?",
        (*map(derived, terms), total("weights", plan.weights_bytes)),
        fields_of(request),
        "memory",
        plan.weights_bytes,
    )


def gradients(rng: Random) -> Drill:
    dtype = rng.choice(("bfloat16", "float32"))
    request = request_of(model=model(rng), method="full", dtype=dtype)
    plan = plan_of(request)
    size = live(plan, "optimizer_step", "gradients")
    text = f"{ITEMSIZE[dtype]} bytes x {plan.trainable_params:,} trained parameters"
    return Drill(
        "gradients",
        "number",
        f"{counted(plan)} is fine-tuned in full, its weights in {dtype}, without autocast. How much memory do all "
        "gradients take before the optimizer's step?",
        (f"every trained parameter has a gradient of its own dtype: {text}", total("gradients", size)),
        fields_of(request),
        "memory",
        size,
    )


def optimizer(rng: Random) -> Drill:
    dtype, optim = rng.choice(("bfloat16", "float32")), rng.choice(_OPTIMS)
    request = request_of(model=model(rng), method="full", dtype=dtype, optim=optim)
    plan = plan_of(request)
    size = live(plan, "between_steps", "optimizer")
    known = OPTIMIZERS[optim]
    kept = {"parameter": f"of the parameter's dtype, {dtype}", "blockwise_8bit": "of one byte, with constants"}
    states = f"{known.num_states} states a parameter {kept[known.state_format]}"
    return Drill(
        "optimizer",
        "number",
        f"{counted(plan)} is fine-tuned in full, its weights in {dtype}, with {optim}. How much memory do the "
        f"optimizer "
        "states take between steps?",
        (f"{states}, {plan.trainable_params:,} parameters", f"source: {known.source}", total("states", size)),
        fields_of(request),
        "memory",
        size,
    )


def bytes_a_parameter(rng: Random) -> Drill:
    dtype = rng.choice(("bfloat16", "float32"))
    request = request_of(model=model(rng), method="full", dtype=dtype)
    plan = plan_of(request)
    parts = {name: live(plan, "optimizer_step", name) for name in ("weights", "gradients", "optimizer")}
    each = {name: size / plan.total_params for name, size in parts.items()}
    return Drill(
        "optimizer",
        "number",
        f"{short(plan.model)} is fine-tuned in full with AdamW (adamw_torch_fused), its weights in {dtype}, without "
        "autocast. How many bytes a parameter do weights, gradients and states hold together at the optimizer's "
        "step?",
        tuple(f"{name}: {value:.3g} bytes a parameter" for name, value in each.items()),
        fields_of(request),
        "bytes a parameter",
        sum(each.values()),
    )


def logits(rng: Random) -> Drill:
    """One copy of the logits in float32, where the loss holds one at the peak."""
    while True:
        batch, length = rng.choice(BATCHES), rng.choice(LENGTHS)
        request = request_of(
            model=model(rng), method="lora", per_device_train_batch_size=batch, max_length=length, gpu="h100-sxm"
        )
        plan = plan_of(request)
        found = [t for t in plan.terms if t.category == "logits" and t.formula == "4 x B x S x vocab"]
        if found:
            break
    return Drill(
        "logits",
        "number",
        f"{short(plan.model)} has a vocabulary of {found[0].inputs['vocab']:,}. How much memory does one copy of the "
        f"logits in float32 take for a batch of {batch} x {length:,} tokens?",
        (
            derived(found[0]),
            f"at the peak, all logits and their gradients together: {plan.logits_bytes:,} bytes",
        ),
        fields_of(request),
        "memory",
        found[0].bytes,
    )


def cache(rng: Random) -> Drill:
    sequences, length = rng.choice(_SEQUENCES), rng.choice(_CACHE_LENGTHS)
    fields = {"model": model(rng), "adapters": [], "max_num_seqs": sequences, "max_model_len": length}
    found = serving(parse_serve_request(fields))
    terms = [term for term in found.terms if term.part == "cache"]
    shapes = "; ".join(
        f"{t.inputs['layers']} layers keep {t.inputs['keys']:,} key and {t.inputs['values']:,} value elements a token"
        + ("" if t.inputs["T"] == length else f", of at most {t.inputs['T']:,} tokens")
        for t in terms
    )
    return Drill(
        "cache",
        "number",
        f"{short(found.model)}: {shapes}. How much memory does the cache of keys and values take in 16 bits for "
        f"{sequences:,} sequence{'' if sequences == 1 else 's'} of {length:,} tokens?",
        (*(f"{t.name}: {t.formula} = {t.bytes:,} bytes" for t in terms), total("cache", found.cache_bytes)),
        fields,
        "memory",
        found.cache_bytes,
    )


def derived(term: Term) -> str:
    """A term of the ledger in a line."""
    values = ", ".join(f"{name} = {v:,}" if isinstance(v, int) else f"{name} = {v}" for name, v in term.inputs.items())
    return f"{term.name}: {term.formula}{f' with {values}' if values else ''} = {term.bytes:,} bytes"


def total(name: str, num_bytes: int) -> str:
    """The last line of a derivation."""
    return f"{name} in all: {num_bytes:,} bytes"
