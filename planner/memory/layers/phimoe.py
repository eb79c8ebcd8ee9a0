"""Phi-3.5-MoE (transformers 5.23 models/phimoe): LayerNorm, Llama's attention, two experts drawn by a sparse mixer."""

from planner.memory import moe_modules, moe_ops, ops
from planner.memory.graph import Value
from planner.memory.layernorm_modules import layer_norm, norm_and_loss
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, embed_with_one_mask, pre_norm_layer
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

SCORES: Shape = ("B", "S", "experts")
CHOSEN: Shape = ("B", "S", 1)

embed = embed_with_one_mask


def layer(c: Context, hidden_states: Value) -> Value:
    """PhimoeDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, llama.attention, sparse_moe_block, layer_norm)


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "norm")


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """PhimoeSparseMoeBlock.forward, without jitter of its input."""
    _ = linear(c, hidden_states, "mlp.router", ("experts",), HIDDEN)
    routing_weights, selected_experts = sparsemixer(c, _)
    return moe_modules.experts(c, hidden_states, selected_experts, routing_weights)


def sparsemixer(c: Context, scores: Value) -> tuple[Value, Value]:
    """sparsemixer in training: two experts, one after the other."""
    t = c.tape
    multiplier, selected_experts, kept = drawn(c, scores, scores)
    masked_scores = scattered(c, scores, selected_experts)
    multiplier_top2, selected_experts_top2, kept_top2 = drawn(c, scores, masked_scores)
    multiplier = ops.cat(t, (multiplier, multiplier_top2), ("B", "S", 2), "multipliers")
    selected_experts = t.allocate(("B", "S", 2), "int64", "selected experts")
    del kept, kept_top2
    return multiplier, selected_experts


def drawn(c: Context, scores: Value, candidates: Value) -> tuple[Value, Value, list[Value]]:
    """One expert a token: drawn from the softmax of the scores near the largest, with its multiplier.

    The third is what names of the function hold to its end.
    """
    t = c.tape
    factor = t.allocate(SCORES, scores.dtype, "factor")
    mask = t.allocate(SCORES, "bool", "far from the largest")
    masked_gates = masked_fill(c, candidates, mask)
    selected = t.allocate(CHOSEN, "int64", "selected expert")
    masked_gates = ops.softmax(t, masked_gates)
    multiplier_o = moe_ops.gather_along(t, masked_gates, selected, CHOSEN)
    max_scores, max_ind = moe_ops.topk(t, masked_gates, CHOSEN)
    mask_for_one = t.allocate(CHOSEN, masked_gates.dtype, "mask for one")
    multiplier = multiplied(c, scores, multiplier_o, selected, masked_gates)
    return multiplier, selected, [factor, mask, masked_gates, multiplier_o, max_scores, max_ind, mask_for_one]


def masked_fill(c: Context, scores: Value, mask: Value) -> Value:
    """masked_fill: saves the mask; a gradient of its own."""
    t = c.tape

    def backward(grad: Value, mask: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "masked grad"),)

    return t.op("masked gates", scores.shape, scores.dtype, [scores], backward, [mask])


def scattered(c: Context, scores: Value, index: Value) -> Value:
    """torch.scatter of a number: saves the index; backward puts zeros there in a new gradient."""
    t = c.tape

    def backward(grad: Value, index: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "scatter grad"),)

    return t.op("masked scores", scores.shape, scores.dtype, [scores], backward, [index])


def multiplied(c: Context, scores: Value, multiplier: Value, selected: Value, masked_gates: Value) -> Value:
    """PhimoeMultiplier: hands a gradient to the scores alone."""
    t = c.tape

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        scaled = t.allocate(CHOSEN, grad.dtype, "scaled grad")
        out = t.allocate(SCORES, grad.dtype, "scores grad")
        del scaled
        return (out, None)

    return t.op(
        "multiplier",
        CHOSEN,
        multiplier.dtype,
        [scores, multiplier],
        backward,
        [multiplier, selected, masked_gates],
    )
