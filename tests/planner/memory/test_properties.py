"""What holds for every request: sums, monotony, comparisons of methods and settings, and answers without overflow."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planner.answer import CATEGORIES, PHASES, Plan
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.grid import peak_bytes_grid
from planner.memory.inventory import Item, inventory, resolve_setup
from planner.memory.quantized import constants_bytes, packed_bytes
from planner.memory.states import moment_bytes
from planner.memory.taped import tape_layer, tape_model
from planner.optimizers import OPTIMIZERS
from planner.resolve import load_model
from planner.schema import parse_request
from tests.planner.memory.strategies import CATALOGUE, HEAD_DIMS, Fields, bounded, configs, requests

MODELS = st.one_of(configs(), configs(), st.sampled_from(CATALOGUE))
INT64_MAX = 2**63 - 1


def plan(request: Fields, **changes: Any) -> Plan:
    return estimate(parse_request({**request, **changes}))


def answered(request: Fields) -> Plan:
    """The plan of a request, which is not counted where the model has fewer positions than asked for."""
    try:
        return plan(request)
    except PlannerError as error:
        assert error.field == "max_length"
        assume(False)
        raise


def in_phase(answer: Plan, phase: str) -> dict[str, int]:
    """Live bytes by category at the largest moment of a phase."""
    (found,) = [dict(p.live_bytes) for p in answer.timeline if p.phase == phase]
    return found  # type: ignore[return-value]


# -- sums ------------------------------------------------------------------------------------------------------------


@bounded(150)
@given(requests(models=MODELS))
def test_parts_sum_to_the_whole(request: Fields) -> None:
    answer = answered(request)
    for category in CATEGORIES:
        terms = sum(term.bytes for term in answer.terms if term.category == category)
        assert terms == getattr(answer, f"{category}_bytes"), category
    whole = sum(getattr(answer, f"{category}_bytes") for category in CATEGORIES)
    assert whole == sum(term.bytes for term in answer.terms) == answer.peak_bytes + answer.runtime_bytes


@bounded(150)
@given(requests(models=MODELS))
def test_the_peak_is_the_largest_moment_of_the_timeline(request: Fields) -> None:
    answer = answered(request)
    assert [p.phase for p in answer.timeline] == list(PHASES)
    for moment in answer.timeline:
        assert moment.total_bytes == sum(moment.live_bytes.values())
        assert min(moment.live_bytes.values()) >= 0
    assert max(p.total_bytes for p in answer.timeline) == answer.peak_bytes + answer.runtime_bytes
    assert sum(in_phase(answer, answer.peak_phase).values()) == answer.peak_bytes + answer.runtime_bytes


@bounded(100)
@given(requests(models=MODELS))
def test_terms_are_positive_and_figures_are_in_order(request: Fields) -> None:
    answer = answered(request)
    assert all(term.bytes > 0 and term.name and term.formula and term.source for term in answer.terms)
    assert 0 < answer.weights_bytes <= answer.peak_bytes <= answer.reserved_bytes <= answer.device_bytes
    assert answer.peak_bytes <= answer.needed_bytes <= answer.device_bytes
    assert answer.low_bytes <= answer.device_bytes <= answer.high_bytes
    assert answer.steady_bytes <= answer.peak_bytes
    assert 0 < answer.trainable_params <= answer.total_params


@bounded(60)
@given(requests(models=MODELS))
def test_an_answer_is_deterministic(request: Fields) -> None:
    first = answered(request)
    tape_layer.cache_clear()
    tape_model.cache_clear()
    assert plan(request) == first


@bounded(60)
@given(requests(models=MODELS))
def test_a_plan_survives_json(request: Fields) -> None:
    answer = answered(request)
    assert Plan.model_validate_json(answer.model_dump_json()) == answer


def depth_of(model: Fields) -> str:
    """The field that holds the number of layers."""
    return next(name for name in ("n_layer", "n_layers", "num_hidden_layers", "num_layers") if name in model)


# -- monotony --------------------------------------------------------------------------------------------------------

STEPS = st.sampled_from((1, 1, 2, 7, 100, 3000))


def never_falls(request: Fields, larger: Fields) -> None:
    try:
        before, after = plan(request), plan(larger)
    except PlannerError as error:
        assert error.field == "max_length"
        assume(False)
        return
    assert after.peak_bytes >= before.peak_bytes
    assert after.device_bytes >= before.device_bytes


@bounded(150)
@given(requests(models=MODELS), STEPS)
def test_bytes_never_fall_with_the_batch(request: Fields, more: int) -> None:
    name = "per_device_train_batch_size"
    never_falls(request, request | {name: request[name] + more})


@bounded(150)
@given(requests(models=MODELS), STEPS)
def test_bytes_never_fall_with_the_length(request: Fields, more: int) -> None:
    never_falls(request, request | {"max_length": request["max_length"] + more})


@bounded(100)
@given(requests(), STEPS)
def test_bytes_never_fall_with_the_vocabulary(request: Fields, more: int) -> None:
    model = request["model"]
    larger = request | {"model": model | {"vocab_size": model["vocab_size"] + more}}
    assume(not begins_to_quantize_states(request, larger))
    never_falls(request, larger)


@bounded(100)
@given(requests(), st.integers(1, 5))
def test_bytes_never_fall_with_the_depth(request: Fields, more: int) -> None:
    model = request["model"]
    assume("attention_types" not in model)  # gpt_neo's list of layers would have to grow too
    name = depth_of(model)
    never_falls(request, request | {"model": model | {name: model[name] + more}})


@bounded(150)
@given(requests(models=MODELS, method="lora") | requests(models=MODELS, method="qlora"), st.sampled_from((1, 8, 64)))
def test_bytes_never_fall_with_the_rank(request: Fields, more: int) -> None:
    larger = request | {"lora": request["lora"] | {"r": request["lora"]["r"] + more}}
    assume(not begins_to_quantize_states(request, larger))
    never_falls(request, larger)


def begins_to_quantize_states(request: Fields, larger: Fields) -> bool:
    """Whether a tensor becomes large enough, or of a size, that its states are quantized.

    The libraries' own exception to monotony: in bitsandbytes a tensor of 4,095 elements has states of 32,760 bytes, one
    of 4,096 has 8,320; torchao's 4 bits need whole blocks of 128 elements besides.
    """
    optimizer = OPTIMIZERS[request["optim"]]
    before, after = ([moment_bytes(optimizer, item) for item in trained(r)] for r in (request, larger))
    return any(b < a for a, b in zip(before, after, strict=True))


def trained(request: Fields) -> list[Item]:
    asked = parse_request(request)
    architecture = load_model(asked).architecture
    items = inventory(asked, architecture, resolve_setup(asked, architecture))
    return [item for item in items if item.trainable]


def test_states_that_begin_to_be_quantized_are_a_real_exception() -> None:
    request = {
        "model": {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4, "vocab_size": 100},
        **{"method": "lora", "optim": "adamw_bnb_8bit", "device": "cpu", "lora": {"r": 15}},
    }
    larger = request | {"lora": {"r": 16}}
    assert begins_to_quantize_states(request, larger)
    states = [p.steady_bytes - p.weights_bytes for p in (plan(request), plan(larger))]
    assert states[1] < states[0]


# -- 4-bit weights ---------------------------------------------------------------------------------------------------

#: From these sizes on a 4-bit tensor takes no more than its 16-bit form. Under them the constants that every tensor
#: has, whatever its size (the code, and with double quantization the nested code and the offset), weigh more.
MIN_4BIT_NUMEL = {False: 46, True: 739}


@pytest.mark.parametrize("double_quant", [False, True])
def test_the_smallest_tensor_that_4_bits_make_smaller(double_quant: bool) -> None:
    smallest = MIN_4BIT_NUMEL[double_quant]

    def saved(numel: int) -> int:
        return 2 * numel - packed_bytes(numel) - constants_bytes(numel, double_quant)

    assert saved(smallest - 1) < 0
    assert all(saved(numel) >= 0 for numel in range(smallest, smallest + 20_000))


@bounded(300)
@given(st.integers(739, 2**40), st.booleans())
def test_a_4_bit_tensor_is_never_larger_than_its_16_bit_form(numel: int, double_quant: bool) -> None:
    assert packed_bytes(numel) + constants_bytes(numel, double_quant) <= 2 * numel


@bounded(100)
@given(requests(method="qlora"))
def test_quantized_weights_never_take_more_than_16_bit_ones(request: Fields) -> None:
    """Where the rest is not upcast, and no quantized linear is smaller than the constants of any tensor."""
    quantization = request["quantization"] | {"upcast_unquantized": False}
    request = request | {"dtype": "bfloat16", "quantization": quantization}
    asked = parse_request(request)
    architecture = load_model(asked).architecture
    items = inventory(asked, architecture, resolve_setup(asked, architecture))
    smallest = min((item.numel for item in items if item.role == "linear_4bit"), default=10**9)
    assume(smallest >= MIN_4BIT_NUMEL[quantization["bnb_4bit_use_double_quant"]])
    lora = {name: value for name, value in request.items() if name != "quantization"} | {"method": "lora"}
    assert plan(request).weights_bytes <= plan(lora).weights_bytes


# -- comparisons -----------------------------------------------------------------------------------------------------


def num_layers(model: Fields) -> int:
    return int(model[depth_of(model)])


def num_heads(model: Fields) -> int:
    return int(next(model[name] for name in ("n_head", "n_heads", "num_attention_heads", "num_heads") if name in model))


@bounded(150)
@given(requests())
def test_checkpointing_lowers_what_layers_keep_from_three_layers_on(request: Fields) -> None:
    """At the loss all layers have run and none is recomputed; a tiny peak may still fall into a recomputed layer.

    A checkpoint holds MPT's table of ALiBi, as long as the config's max_seq_len: more than one token keeps.
    """
    assume(num_layers(request["model"]) >= 3)
    assume(request["model"]["model_type"] != "mpt" or request["max_length"] >= 64)
    kept = [plan(request, gradient_checkpointing=on) for on in (False, True)]
    activations = [in_phase(answer, "loss")["activations"] for answer in kept]
    assert activations[1] < activations[0]
    totals = [{p.phase: p.total_bytes for p in answer.timeline} for answer in kept]
    assert totals[1]["loss"] < totals[0]["loss"]
    assert totals[1]["backward_head"] <= totals[0]["backward_head"]


@bounded(150)
@given(requests(models=MODELS))
def test_accumulation_never_lowers_the_peak(request: Fields) -> None:
    once, often = (request | {"gradient_accumulation_steps": steps} for steps in (1, 4))
    assert answered(often).peak_bytes >= answered(once).peak_bytes


@bounded(150)
@given(requests())
def test_sdpa_never_takes_more_than_eager_attention(request: Fields) -> None:
    """From two heads and sequences of twice a head's width on.

    Under that what sdpa saves (its output, a number a query and head, a mask as large as one head's scores) is more
    than the scores. A dropout on them makes sdpa's CPU kernel fall back to separate operations in float32, and so do
    keys of one head that stay unrepeated (falcon's multi_query), values not as wide as keys (deepseek) and a
    bias that needs a gradient (t5).
    """
    model, length = request["model"], request["max_length"]
    assume(not model.get("multi_query"))
    assume(num_heads(model) >= 2 and length >= 2 * max(HEAD_DIMS))
    unfused = model.get("attn_pdrop") or model.get("attention_probs_dropout_prob")
    assume(not (request["device"] == "cpu" and (unfused or model.keys() & {"v_head_dim", "d_kv"})))
    eager, sdpa = (plan(request, attn_implementation=name) for name in ("eager", "sdpa"))
    assert sdpa.peak_bytes <= eager.peak_bytes


@bounded(150)
@given(requests(method="lora"))
def test_full_fine_tuning_needs_more_gradients_and_states_than_lora(request: Fields) -> None:
    """Where adapters train at most a quarter of the parameters: they are kept in float32, and small ones unfactored."""
    lora = plan(request)
    full = plan({name: value for name, value in request.items() if name != "lora"}, method="full")
    assume(4 * lora.trainable_params <= full.trainable_params)
    needs = [sum(in_phase(p, "optimizer_step")[c] for c in ("gradients", "optimizer")) for p in (full, lora)]
    assert needs[0] >= needs[1]


# -- the largest -----------------------------------------------------------------------------------------------------

HUGE = {"model": "llama-3.1-405b", "max_length": 2**20, "per_device_train_batch_size": 64}


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_largest_run_has_sane_figures(method: str, checkpointing: bool) -> None:
    answer = plan(HUGE, method=method, gradient_checkpointing=checkpointing)
    tokens, hidden, layers, vocab = 64 * 2**20, 16_384, 126, 128_256
    loss = in_phase(answer, "loss")
    assert 8 * tokens * vocab <= loss["logits"] <= 16 * tokens * vocab
    least = 2 * tokens * hidden * layers
    assert least <= loss["activations"] <= (3 if checkpointing else 60) * least
    assert answer.peak_bytes < answer.device_bytes < answer.high_bytes < INT64_MAX
    assert all(0 < term.bytes < INT64_MAX for term in answer.terms)


def test_arrays_do_not_overflow_where_the_plan_does_not() -> None:
    for attention in ("sdpa", "eager"):
        request = parse_request(HUGE | {"method": "lora", "attn_implementation": attention})
        batches, lengths = np.array([[1], [64]]), np.array([1024, 2**20])
        grid = peak_bytes_grid(request, batches, lengths)
        for (i, j), peak in np.ndenumerate(grid):
            cell = HUGE | {"per_device_train_batch_size": int(batches[i, 0]), "max_length": int(lengths[j])}
            assert int(peak) == plan(cell, method="lora", attn_implementation=attention).peak_bytes


@bounded(30)
@given(requests(models=configs(), max_length=100, per_device_train_batch_size=3))
def test_arrays_give_the_plans_figures(request: Fields) -> None:
    batches, lengths = np.array([[1], [3], [40]]), np.array([1, 17, 150, 5000])
    grid = peak_bytes_grid(parse_request(request), batches, lengths)
    for i, batch in enumerate((1, 3, 40)):
        for j, length in enumerate((1, 17, 150, 5000)):
            cell = plan(request, per_device_train_batch_size=batch, max_length=length)
            assert int(grid[i, j]) == cell.peak_bytes, (batch, length)
