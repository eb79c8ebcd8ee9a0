"""Multi-head latent attention on a tape (transformers 5.23 models/deepseek_v2 and deepseek_v3)."""

from collections.abc import Callable

from planner.memory import attention_modules, ops
from planner.memory.graph import Value
from planner.memory.layers.parts import HIDDEN, QUERIES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm
from planner.memory.tape import Tape

ROPE = "rotary_dim"
NOPE = "rest_dim"
VALUES = "v_head_dim"
Q_RANK: Shape = ("q_lora_rank",)
KV_RANK: Shape = ("kv_lora_rank",)
Rotate = Callable[[Context, Value, Value], tuple[Value, Value]]


def attention(c: Context, hidden_states: Value, rotate: Rotate) -> tuple[Value, Value | None]:
    """DeepseekV3Attention.forward; `rotate` is the family's rotation of the rotary part of queries and keys."""
    t = c.tape
    q_states = ops.view(t, queries(c, hidden_states), ("B", "heads", "S", "head_dim"), contiguous=False)
    q_pass, q_rot = ops.split(t, q_states, [("B", "heads", "S", NOPE), ("B", "heads", "S", ROPE)])
    compressed_kv = linear(c, hidden_states, "self_attn.kv_a_proj_with_mqa", ("kv_a_width",), HIDDEN)
    kv_nope, k_rot = ops.split(t, compressed_kv, [("B", "S", *KV_RANK), ("B", "S", ROPE)])
    kv_nope = rms_norm(c, kv_nope, "self_attn.kv_a_layernorm", KV_RANK)
    kv_nope.contiguous = True  # a new tensor, of a slice that is not
    k_rot = ops.view(t, k_rot, ("B", 1, "S", ROPE), contiguous=False)
    q_rot, k_rot = rotate(c, q_rot, k_rot)
    query_states = ops.cat(t, [q_pass, q_rot], q_states.shape)
    key_states, value_states = expand_kv(c, kv_nope, k_rot)
    attn_output, attn_weights = attention_modules.attend(c, query_states, key_states, value_states)
    attn_output = ops.view(t, attn_output, ("B", "S", "heads", VALUES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, ("heads", VALUES))
    return attn_output, attn_weights


def queries(c: Context, hidden_states: Value) -> Value:
    """q_proj, or q_b_proj of the norm of q_a_proj."""
    if not c.structure.block.q_lora:
        return linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN)
    compressed = linear(c, hidden_states, "self_attn.q_a_proj", Q_RANK, HIDDEN)
    compressed = rms_norm(c, compressed, "self_attn.q_a_layernorm", Q_RANK)
    return linear(c, compressed, "self_attn.q_b_proj", QUERIES, Q_RANK)


def expand_kv(c: Context, kv_nope: Value, k_rot: Value) -> tuple[Value, Value]:
    """Keys and values of all heads: keys are a new tensor into which both parts are copied."""
    t = c.tape
    kv_nope = linear(c, kv_nope, "self_attn.kv_b_proj", ("heads", "nope_v_dim"), KV_RANK)
    kv_nope = ops.view(t, kv_nope, ("B", "heads", "S", "nope_v_dim"), contiguous=False)
    k_nope, value_states = ops.split(t, kv_nope, [("B", "heads", "S", NOPE), ("B", "heads", "S", VALUES)])
    k_rot = ops.expand_view(t, k_rot, ("B", "heads", "S", ROPE))
    key_states = t.allocate(("B", "heads", "S", "head_dim"), kv_nope.dtype, "keys")
    key_states = copied_into(t, key_states, k_nope)
    key_states = copied_into(t, key_states, k_rot)
    return key_states, value_states


def copied_into(t: Tape, base: Value, part: Value) -> Value:
    """``base[..., i:j].copy_(part)``: CopySlices (torch/csrc/autograd/functions/tensor.cpp).

    Backward copies the gradient of the whole, clones the slice, and leaves zeros in its place where the rest of the
    base needs a gradient.
    """
    whole, slice_shape, of_base, dtype = base.shape, part.shape, base.requires_grad, part.dtype

    def backward(grad: Value) -> ops.Grads:
        result = t.allocate(whole, grad.dtype, "copied grad")
        of_slice = t.allocate(slice_shape, grad.dtype, "slice grad")
        of_slice = of_slice if grad.dtype == dtype else t.allocate(slice_shape, dtype, "slice grad")
        zeros = t.allocate(slice_shape, grad.dtype, "zeros") if of_base else None
        del zeros
        return (result if of_base else None, of_slice)

    moved, kept = ((slice_shape, base.dtype),) * 2, base.contiguous
    out: tuple[Shape, str] = (whole, base.dtype)
    inputs = [base, part]
    return t.op("copied into", *out, inputs, backward, view=base, contiguous=kept, kind="elementwise", moved=moved)
