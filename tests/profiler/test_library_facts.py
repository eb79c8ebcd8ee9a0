"""What the installed libraries do with memory, one test a fact that the plan is built on.

A test that fails after an upgrade names the fact that a library has changed: the plan must follow it.
"""

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from torch import nn  # noqa: E402

from profiler.build import build_model, loaded_tensors  # noqa: E402
from profiler.configs import build_config  # noqa: E402
from profiler.measured import Measured  # noqa: E402
from profiler.optimizers import build_optimizer  # noqa: E402
from profiler.storages import Birth, StorageTracker  # noqa: E402
from profiler.trace import trace  # noqa: E402
from tests.profiler.recipes import LLAMA, MIXTRAL, request  # noqa: E402

pytestmark = pytest.mark.torch
B, S = 2, 48  # of every small request
H, MLP, V, HEADS, KV_HEADS, HEAD_DIM = 128, 320, 1000, 4, 2, 32  # of LLAMA
BF16, FP32 = 2, 4


def built(method: str, model: dict[str, object] = LLAMA, **fields: object) -> nn.Module:
    ask = request(model, method, **fields)
    return build_model(ask, build_config(ask), "meta")


def births(measured: Measured, phase: str, layer: str = "layers.0.") -> list[Birth]:
    """What one phase of the second step makes in one layer."""
    record = measured.record
    assert record is not None
    found = [e.birth for e in record.events if e.delta > 0 and e.step == 2 and e.birth.phase == phase]
    return [birth for birth in found if layer in f"{birth.module}."]


def numel(birth: Birth) -> int:
    return birth.num_bytes // getattr(torch, birth.dtype).itemsize


def kept(module: nn.Module, *inputs: torch.Tensor) -> list[Birth]:
    """What a module's forward leaves alive, its output too."""
    tracker = StorageTracker()
    tracker.register((str(i), tensor) for i, tensor in enumerate((*inputs, *module.parameters())))
    with tracker:
        out = module(*inputs)
        alive = [b for b in tracker.record.births if b.died is None and b.op != "load"]
        del out
    return alive


def test_fact_1_the_preparation_for_kbit_training_upcasts_all_that_is_not_4_bit_to_float32() -> None:
    dtypes = {
        name: p.dtype for name, p in built("qlora").named_parameters() if "lora_" not in name and p.dtype != torch.uint8
    }
    assert any("embed_tokens" in n for n in dtypes) and any("lm_head" in n for n in dtypes)
    assert any("norm" in n for n in dtypes)
    assert set(dtypes.values()) == {torch.float32}, (
        "fact 1: prepare_model_for_kbit_training holds embeddings, head and norms in float32"
    )


def test_fact_2_adapters_of_a_16_bit_base_are_float32_and_so_are_their_gradients_and_states() -> None:
    model = built("lora")
    assert {p.dtype for n, p in model.named_parameters() if "lora_" in n} == {torch.float32}, (
        "fact 2: PEFT keeps adapters of a 16-bit base in float32 (autocast_adapter_dtype)"
    )
    traced = trace(request(method="lora"))
    adapters = traced.trainable_params * FP32
    states = traced.series[-1].live_bytes["optimizer"]
    tensors = 2 * 7 * 2  # A and B, linears, layers
    assert states == 2 * adapters + tensors * FP32, "fact 2: Adam's states of float32 adapters are float32"


def test_fact_3_the_loss_holds_three_float32_tensors_of_tokens_by_vocabulary() -> None:
    traced = trace(request(LLAMA | {"vocab_size": 20_000}, "lora", gradient_checkpointing=True))
    assert traced.peak_phase == "backward_head"
    assert traced.live_bytes["logits"] == 3 * FP32 * B * S * 20_000, (
        "fact 3: log-softmax, its gradient and the loss's gradient live together in float32"
    )


def test_fact_4_rms_norm_keeps_a_float32_copy_of_its_input_besides_the_16_bit_one() -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    x = torch.randn(B, S, H, dtype=torch.bfloat16, requires_grad=True)
    sizes = [(numel(b), b.dtype) for b in kept(LlamaRMSNorm(H).to(torch.bfloat16), x) if numel(b) == B * S * H]
    assert sorted(sizes) == [(B * S * H, "bfloat16")] * 2 + [(B * S * H, "float32")], (
        "fact 4: RMSNorm keeps its input in float32 and the normalized one in 16 bits (and its output)"
    )


def test_fact_4_swiglu_keeps_gate_up_activated_gate_and_product() -> None:
    from transformers.models.llama.modeling_llama import LlamaMLP

    mlp = LlamaMLP(build_config(request())).to(torch.bfloat16)
    wide = [b for b in kept(mlp, torch.randn(B, S, H, dtype=torch.bfloat16)) if numel(b) == B * S * MLP]
    assert len(wide) == 4, "fact 4: SwiGLU keeps gate, up, activated gate and product"


def test_fact_4_lora_with_dropout_keeps_a_mask_and_a_copy_of_its_input() -> None:
    def tokens_by_hidden(dropout: float) -> int:
        model = built("lora", lora={"lora_dropout": dropout, "target_modules": ["o_proj"]})
        layer = next(m for n, m in model.named_modules() if n.endswith("layers.0.self_attn.o_proj"))
        x = torch.randn(B, S, H, dtype=torch.bfloat16, device="meta", requires_grad=True)
        return sum(b.num_bytes for b in kept(layer, x) if numel(b) == B * S * H)

    extra = tokens_by_hidden(0.1) - tokens_by_hidden(0.0)
    assert extra >= B * S * H, "fact 4: dropout of an adapter keeps a mask besides the copy of the input"


def test_fact_5_eager_attention_keeps_scores_and_sdpa_does_not() -> None:
    scores = B * HEADS * S * S

    def made(attention: str) -> int:
        return sum(numel(b) == scores for b in births(trace(request(attn_implementation=attention)), "forward"))

    assert made("eager") >= 3, "fact 5: eager makes scores, a float32 softmax and its 16-bit copy"
    assert made("sdpa") == 0, "fact 5: sdpa makes no tensor of heads x S x S"


def test_fact_6_padding_makes_a_mask_and_repeats_keys_and_values_to_all_heads() -> None:
    def of_all_heads(padding: str) -> int:
        made = births(trace(request(padding=padding)), "forward", "layers.0.self_attn.")
        return sum(numel(b) == B * HEADS * S * HEAD_DIM for b in made)

    assert of_all_heads("padded") - of_all_heads("none") == 2, "fact 6: with a mask K and V are repeated to all heads"

    def masks(padding: str) -> int:
        return sum(numel(b) == B * S * S for b in births(trace(request(padding=padding)), "forward", ""))

    assert masks("none") == 0 and masks("padded") > 0, (
        "fact 6: a padded batch makes a B x 1 x S x S mask, a full one none"
    )


def test_fact_7_checkpointing_keeps_one_hidden_state_a_layer() -> None:
    def at_the_loss(layers: int) -> int:
        asked = request(LLAMA | {"num_hidden_layers": layers}, gradient_checkpointing=True)
        return trace(asked, whole=True).timeline["loss"]["activations"]

    assert at_the_loss(4) - at_the_loss(3) == BF16 * B * S * H, "fact 7: a checkpointed layer keeps its input alone"


def test_fact_7_a_quantized_linear_makes_a_16_bit_copy_of_its_weight_in_backward() -> None:
    traced = trace(request(method="qlora"))
    copies = [b for b in births(traced, "backward") if b.dtype == "bfloat16" and numel(b) == H * MLP]
    assert len(copies) == 3, "fact 7: gate, up and down are each dequantized in backward"
    assert not any(numel(b) == H * MLP for b in births(traced, "forward")), (
        "fact 7: forward on a CPU multiplies 4-bit weights as they are (bitsandbytes gemm_4bit)"
    )


def optimizer_step(name: str, numel_: int, foreach: bool = False) -> tuple[int, int]:
    """(bytes kept, most bytes at once) of the first step on one bfloat16 parameter and its gradient."""
    parameter = nn.Parameter(torch.ones(numel_, dtype=torch.bfloat16))
    optimizer = build_optimizer(name, [parameter], foreach=foreach)
    parameter.grad = torch.ones_like(parameter)
    tracker = StorageTracker()
    tracker.register([("p", parameter), ("g", parameter.grad)])
    held = tracker.record.live
    with tracker:
        optimizer.step()
        live = tracker.record.live
    return live - held, tracker.record.peak - held


def test_fact_8_states_follow_the_parameters_dtype_and_fused_adam_needs_nothing_besides() -> None:
    count = 2**16
    states, most = optimizer_step("adamw_torch_fused", count)
    assert states == 2 * BF16 * count + FP32, "fact 8: AdamW's states of 16-bit weights are 16-bit: 4 bytes a parameter"
    assert most <= states + 64, "fact 8: fused AdamW makes no temporaries worth naming"
    assert optimizer_step("adamw_torch", count, foreach=True)[1] >= states + BF16 * count, (
        "fact 8: foreach AdamW needs up to one more copy"
    )


@pytest.mark.parametrize(("count", "bytes_each"), [(2**16, 2 + 2 * 4 / 256), (2048, 2 * FP32)])
def test_fact_8_8_bit_adam_keeps_2_03_bytes_a_parameter_and_32_bits_for_small_tensors(
    count: int, bytes_each: float
) -> None:
    states, _ = optimizer_step("adamw_bnb_8bit", count)
    maps = 2 * 256 * FP32  # one table a state, made at the first use in a process
    assert states == pytest.approx(bytes_each * count, abs=maps + 64), (
        "fact 8: 8-bit Adam keeps 1 byte a state and 4 bytes a block of 256; tensors under 4,096 elements stay 32-bit"
    )


def test_fact_9_autocast_over_float32_weights_keeps_16_bit_copies_until_forward_ends() -> None:
    traced = trace(request(dtype="float32", mixed_precision="bf16"))
    record = traced.record
    assert record is not None
    copies = [b for b in births(traced, "forward") if b.dtype == "bfloat16" and numel(b) == H * MLP]
    assert len(copies) == 3, "fact 9: autocast casts gate, up and down once a step"
    ends = {record.events[b.died].phase for b in copies if b.died is not None}
    last = max(i for i, e in enumerate(record.events) if e.step == 2 and e.delta > 0 and e.phase == "forward")
    assert ends == {"forward", "backward"} or all((b.died or 0) > last for b in copies), (
        "fact 9: the cast weights live until the forward context ends"
    )


def test_fact_10_accumulation_keeps_gradients_and_zero_grad_frees_them_between_steps() -> None:
    once, twice = trace(request()), trace(request(gradient_accumulation_steps=2))
    gradients = once.trainable_params * BF16

    def most(traced: Measured, phase: str) -> int:
        return max(m.live_bytes["gradients"] for m in traced.series if m.phase == phase)

    assert most(once, "forward") == 0 and most(twice, "forward") == gradients, (
        "fact 10: the second micro-step's forward holds the gradients of the first"
    )
    assert most(once, "optimizer_step") == most(twice, "optimizer_step") == gradients, (
        "fact 10: accumulation does not shrink gradients"
    )
    assert most(once, "between_steps") == most(twice, "between_steps") == 0, "fact 10: zero_grad frees the gradients"


@pytest.mark.parametrize(("double", "bytes_each"), [(False, 0.5 + 4 / 64), (True, 0.5 + 1 / 64 + 4 / (64 * 256))])
def test_fact_11_nf4_takes_half_a_byte_a_parameter_and_its_blocks(double: bool, bytes_each: float) -> None:
    model = built("qlora", quantization={"bnb_4bit_use_double_quant": double})
    name = "layers.0.mlp.gate_proj.base_layer.weight"
    tensors = [t for n, t in loaded_tensors(model) if name in n and not n.endswith((".code", ".offset"))]
    stored = sum(t.numel() * t.element_size() for t in tensors)
    assert stored == pytest.approx(bytes_each * H * MLP, abs=8), (
        "fact 11: NF4 is 0.5 byte a parameter, 4 bytes a block of 64, or 1 and 4 a 256 blocks with double quantization"
    )


def test_fact_12_experts_are_stacks_that_bitsandbytes_does_not_quantize() -> None:
    def experts(model: nn.Module) -> Iterator[nn.Parameter]:
        return (p for n, p in model.named_parameters() if ".experts." in n and "lora_" not in n)

    model = built("qlora", MIXTRAL)
    assert {p.dim() for p in experts(model)} == {3}, "fact 12: experts are 3-D parameters, not Linear modules"
    assert {p.dtype for p in experts(model)} == {torch.float32}, (
        "fact 12: experts are not quantized, and upcast to float32 with all that is not 4-bit"
    )
