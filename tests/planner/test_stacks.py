"""A stack fills what the request leaves open, and nothing else; its losses against the arithmetic of their sources."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.catalog import stack_values
from planner.errors import RequestError
from planner.estimate import estimate
from planner.schema import PlanRequest, parse_request
from planner.stacks import in_stack

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 40960,
    "tie_word_embeddings": False,
}
BATCH, LENGTH, VOCAB, HIDDEN = 4, 1024, 40960, 64


def asked(stack: str, method: str = "lora", **more: Any) -> PlanRequest:
    sizes = {"per_device_train_batch_size": BATCH, "max_length": LENGTH}
    return parse_request({"model": TINY, "method": method, "stack": stack, **sizes, **more})


def test_open_fields_take_the_stacks_values() -> None:
    found = in_stack(asked("trl", "qlora")).request
    assert (found.gradient_checkpointing, found.mixed_precision, found.loss) == (True, "bf16", "chunked")
    assert found.lora is not None and not found.lora.autocast_adapter_dtype


def test_what_the_user_set_stays() -> None:
    given = {"gradient_checkpointing": False, "loss": "full", "lora": {"autocast_adapter_dtype": True, "r": 4}}
    stacked = in_stack(asked("trl", "qlora", **given))
    assert stacked.request.lora is not None and stacked.request.lora.autocast_adapter_dtype
    assert (stacked.request.gradient_checkpointing, stacked.request.loss) == (False, "full")
    theirs = {"optim adamw_torch_fused", "gradient_checkpointing_kwargs.use_reentrant false"}
    assert set(stacked.filled) == {"mixed_precision bf16", "quantization.upcast_unquantized true", *theirs}


def test_the_plan_says_what_was_filled() -> None:
    notes = estimate(asked("trl")).notes
    assert (
        "stack trl sets what the request leaves open: gradient_checkpointing true, mixed_precision bf16, " in notes[0]
    )


def test_transformers_fills_nothing() -> None:
    request = asked("transformers")
    assert in_stack(request).request is request


def test_versions_choose_the_value_of_their_time() -> None:
    def loss(version: str) -> set[Any]:
        return {r.value for r in stack_values("transformers", version, "full") if r.field == "switch.full_loss"}

    found = [loss(version) for version in ("4.44", "4.46", "4.48.1", "4.49", "5.23")]
    assert found == [{"full_4"}, {"full_4_46"}, {"full_4_46"}, {"full"}, {"full"}]


@pytest.mark.parametrize("stack", ["trll", "trl@", "trl@1.x", "trl@1."])
def test_unknown_stacks_are_refused(stack: str) -> None:
    with pytest.raises(RequestError, match=r"^stack: "):
        asked(stack)


def logits_bytes(stack: str, loss: str) -> int:
    """The largest sum of the head's and the loss's tensors, with checkpointing and so little else that they peak."""
    given = {"gradient_checkpointing": True, "mixed_precision": "no", "loss": loss}
    return estimate(asked(stack, "lora", **given)).logits_bytes


def test_trl_keeps_no_logits_but_a_tile() -> None:
    tile = 4096 * 32768 * 2  # 16-bit; 4 x 1023 tokens are scored, fewer than a tile holds
    assert 4 * 1023 * 32768 * 2 <= logits_bytes("trl", "chunked") < 1.05 * tile


def test_torchtune_keeps_the_log_probabilities_of_all_chunks() -> None:
    tokens = BATCH * LENGTH
    kept = 4 * tokens * VOCAB
    chunk = tokens // 8 * VOCAB
    assert kept + 4 * chunk <= logits_bytes("torchtune", "chunked") <= kept + 12 * chunk


def test_litgpt_hands_out_float32_logits_while_the_last_steps_are_named() -> None:
    """The 16-bit logits, their float32 copy, and the float32 list of the step before; of 2023, the log-softmax."""
    whole, chunk = BATCH * LENGTH * VOCAB, BATCH * 128 * VOCAB
    assert logits_bytes("litgpt", "chunked") == (2 + 4 + 4) * whole
    assert logits_bytes("litgpt@0.1", "chunked") == pytest.approx(8 * whole + 8 * chunk, rel=0.01)


def test_liger_keeps_about_as_many_logits_as_hidden_states() -> None:
    tokens = BATCH * LENGTH
    chunk = 8  # ceil(4096 / ceil(40960 / 64)) = 7, rounded up to a power of two
    hidden_grad = 2 * tokens * HIDDEN
    assert logits_bytes("transformers", "fused") <= hidden_grad + 2 * chunk * VOCAB + 16 * tokens + 4 * tokens * HIDDEN


WHOLE, SHIFTED = BATCH * LENGTH * VOCAB, BATCH * (LENGTH - 1) * VOCAB


def test_transformers_4_has_a_copy_more() -> None:
    """The float32 logits, the shifted copy of them and its log-softmax; the loss itself."""
    assert logits_bytes("transformers@4.44", "full") == 4 * WHOLE + 4 * SHIFTED + 4 * SHIFTED + 4


def test_transformers_4_46_has_the_16_bit_logits_besides() -> None:
    found = logits_bytes("transformers@4.46", "full")
    assert found == 2 * WHOLE + 4 * WHOLE + 4 * SHIFTED + 4 * SHIFTED + 4


def test_t5_computes_its_own_loss_in_every_version() -> None:
    asked_t5 = {"model": "t5-small", "method": "lora", "per_device_train_batch_size": 8, "max_length": 512}
    stacks = ("transformers@4.44", "transformers@4.46", "transformers@4.49")
    assert len({estimate(parse_request({**asked_t5, "stack": stack})).logits_bytes for stack in stacks}) == 1


@pytest.mark.parametrize(("version", "named"), [("0.4", 0), ("0.5", 2 * WHOLE)])
def test_a_kernel_that_writes_the_gradient_over_the_logits_needs_no_log_softmax(version: str, named: int) -> None:
    """Float32 logits and the shifted copy; a row's label, log-sum-exp and loss; the sum and the mean.

    Backward is no larger: the gradient is the copy itself, beside the slice's gradient, of the logits' size.
    """
    rows = BATCH * (LENGTH - 1)
    found = logits_bytes(f"fms-acceleration@{version}", "full")
    assert found == named + 4 * WHOLE + 4 * SHIFTED + (8 + 4 + 4) * rows + 2 * 4


def test_the_gradient_over_the_logits_is_no_tensor_of_its_own() -> None:
    """The head's backward: the copy that became its own gradient, and the slice's, whole."""
    given = {"gradient_checkpointing": True, "mixed_precision": "no", "loss": "full"}
    answer = estimate(asked("fms-acceleration@0.4", "lora", **given))
    head = next(moment for moment in answer.timeline if moment.phase == "backward_head")
    assert 0 <= head.live_bytes["logits"] - (4 * SHIFTED + 4 * WHOLE) < 16


def test_litgpt_quantizes_the_head() -> None:
    head = VOCAB * HIDDEN
    plain = estimate(asked("transformers", "qlora", quantization={"upcast_unquantized": False})).weights_bytes
    found = estimate(asked("litgpt", "qlora", lora={"r": 16, "autocast_adapter_dtype": True})).weights_bytes
    assert plain - found == pytest.approx(2 * head - 0.5159 * head, rel=0.01)


def test_torchtune_once_quantized_only_what_lora_adapts() -> None:
    lora = {"r": 16, "target_modules": ["q_proj", "v_proj"], "autocast_adapter_dtype": False}
    new, old = (estimate(asked(f"torchtune@{v}", "qlora", lora=lora)).weights_bytes for v in ("0.7", "0.1"))
    others = 2 * (2 * HIDDEN * HIDDEN + 3 * HIDDEN * 128)  # k, o, gate, up, down of two layers
    tables = 10 * 1092  # code maps and an offset a tensor
    assert old - new == pytest.approx((2 - 0.5159) * others - tables, rel=0.01)


def test_old_bitsandbytes_kept_the_inputs_of_4_bit_products() -> None:
    """q and v are adapted: k, o, gate, up and down keep theirs only there (gate and up share one, k shares q's)."""
    lora = {"r": 8, "target_modules": ["q_proj", "v_proj"]}
    given = {"lora": lora, "loss": "fused", "optim": "adamw_torch"}
    new, old = (estimate(asked(f"litgpt@{v}", "qlora", **given)).peak_bytes for v in ("0.5.13", "0.4"))
    tokens = BATCH * LENGTH
    kept = 2 * tokens * (HIDDEN + 2 * HIDDEN)  # of one layer at least: attention's output, the MLP's two inputs
    assert old - new >= kept


def layers_backward(plan: Plan) -> int:
    return next(moment.total_bytes for moment in plan.timeline if moment.phase == "backward_layers")


def test_fsdp_without_a_stack_is_read_as_published_runs_had_it() -> None:
    fields: dict[str, Any] = {"model": TINY, "method": "lora", "num_gpus": 2, "gradient_checkpointing": True}
    fields |= {"parallelism": {"strategy": "fsdp"}, "per_device_train_batch_size": BATCH, "max_length": LENGTH}
    fields |= {"optim": "adamw_torch"}
    unnamed, named, flat = (
        estimate(parse_request(fields | stack))
        for stack in ({}, {"stack": "transformers@5"}, {"stack": "transformers@4.49"})
    )
    assert layers_backward(unnamed) == layers_backward(flat) > layers_backward(named)
    said = {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
    assert layers_backward(estimate(parse_request(fields | said))) == layers_backward(named)
    assert any("no stack is named" in note for note in unnamed.notes)
    assert not any("no stack is named" in note for note in named.notes)


def test_litgpt_has_a_head_of_its_own() -> None:
    tied = TINY | {"tie_word_embeddings": True}
    sizes = {"method": "lora", "per_device_train_batch_size": 1, "lora": {"r": 8, "autocast_adapter_dtype": False}}
    own, shared = (
        estimate(parse_request(sizes | {"model": tied, "stack": stack})) for stack in ("litgpt", "transformers")
    )
    assert own.weights_bytes - shared.weights_bytes == 2 * VOCAB * HIDDEN


def test_litgpt_quantizes_falcons_linears() -> None:
    falcon = {"model": "tiiuae/falcon-7b", "method": "qlora", "lora": {"target_modules": ["query_key_value"]}}
    own, theirs = (estimate(parse_request(falcon | {"stack": stack})) for stack in ("litgpt", "axolotl"))
    assert own.weights_bytes < theirs.weights_bytes / 2


def test_trl_of_2024_left_norms_in_float32_and_so_the_hidden_states() -> None:
    """peft_module_casting_to_bf16: five norms of 4 bytes; Linear4bit hands out the dtype of what it is given."""

    def quantized(stack: str, layers: int, **more: Any) -> Plan:
        given = {"mixed_precision": "bf16", "gradient_checkpointing": True, "quantization": {"load_in_4bit": True}}
        given["lora"] = {"autocast_adapter_dtype": False}
        config = TINY | {"num_hidden_layers": layers}
        return estimate(asked(stack, "qlora", **(given | {"model": config} | more)))

    whole = {"quantization": {"load_in_4bit": True, "upcast_unquantized": False}}
    wide, plain = quantized("trl@0.13", 2), quantized("transformers@4.48", 2, **whole)
    assert wide.weights_bytes - plain.weights_bytes == 2 * 5 * HIDDEN

    def checkpoint(stack: str, **more: Any) -> int:
        found = [quantized(stack, layers, **more).timeline[2].live_bytes["activations"] for layers in (3, 2)]
        return found[0] - found[1]

    assert checkpoint("trl@0.13") == 4 * BATCH * LENGTH * HIDDEN
    assert checkpoint("transformers@4.48", **whole) == 2 * BATCH * LENGTH * HIDDEN
    sharded = {"num_gpus": 2, "parallelism": {"strategy": "fsdp"}}
    assert checkpoint("trl@0.13", **sharded) == 2 * BATCH * LENGTH * HIDDEN


def test_unsloth_has_its_checkpoints_on_the_host() -> None:
    """A layer more adds its 4-bit weights and adapters, and no checkpoint; where the user keeps them, one."""

    def offloaded(**more: Any) -> bool:
        return in_stack(asked("unsloth", **more)).request.parallelism.activation_offloading

    assert offloaded() and offloaded(gradient_checkpointing=True)
    assert not offloaded(gradient_checkpointing=False) and not offloaded(device="cpu")
    assert not offloaded(parallelism={"activation_offloading": False})

    def checkpoint(**more: Any) -> int:
        plans = [estimate(asked("unsloth", model=TINY | {"num_hidden_layers": layers}, **more)) for layers in (3, 2)]
        return plans[0].timeline[2].live_bytes["activations"] - plans[1].timeline[2].live_bytes["activations"]

    assert checkpoint() == 0
    assert checkpoint(parallelism={"activation_offloading": False}) == 2 * BATCH * LENGTH * HIDDEN


def test_unsloths_whole_logits_are_in_16_bits_and_become_their_own_gradient() -> None:
    """The logits; a row's label, log-sum-exp and loss; the sum and the mean."""
    rows = BATCH * LENGTH
    assert logits_bytes("unsloth@2024.4", "full") == 2 * WHOLE + (8 + 4 + 4) * rows + 2 * 4
    handed_out = estimate(asked("unsloth@2024.4", loss="full", mixed_precision="bf16")).logits_bytes
    assert handed_out == (2 + 4) * WHOLE + (8 + 4) * rows + 4
    assert [in_stack(asked(f"unsloth@{v}")).request.loss for v in ("2024.4", "2024.11", "2026.8")] == [
        "full",
        "fused",
        "fused",
    ]
