"""Llama 4 on text (transformers 5.24 models/llama4): rotation of complex numbers, every expert on every token."""

from planner.memory import complex_rotary, head, linear_ops, masks, moe_ops, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, WIDE
from planner.memory.linear_ops import autocast
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.norms import early_cast_rms_norm, unweighted_rms_norm
from planner.memory.tape import Tape

SCORES: Shape = ("B", "S", "experts")
ALL_EXPERTS: Shape = ("experts", "B", "S")


def layer(c: Context, hidden_states: Value) -> Value:
    """Llama4TextDecoderLayer.forward: experts in some layers, a wider MLP in the others."""
    t = c.tape
    residual = hidden_states
    hidden_states = early_cast_rms_norm(c, hidden_states, "input_layernorm")
    attention_states, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, attention_states, "hidden states")
    residual = hidden_states
    hidden_states = early_cast_rms_norm(c, hidden_states, "post_attention_layernorm")
    if c.structure.block.moe:
        hidden_states = moe(c, hidden_states)
    else:
        hidden_states = llama.gated_mlp(c, hidden_states, "feed_forward", WIDE)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Llama4TextAttention.forward."""
    block, t = c.structure.block, c.tape
    query_states = projected(c, hidden_states, "q", QUERIES)
    key_states = projected(c, hidden_states, "k", KEYS)
    value_states = llama.heads(c, projected(c, hidden_states, "v", KEYS), KEYS)
    if block.position == "rope":
        query_states, key_states = complex_rotary.apply_rotary_emb(c, query_states, key_states, together=True)
    if block.qk_norm != "none":
        query_states, key_states = unweighted_rms_norm(c, query_states), unweighted_rms_norm(c, key_states)
    if block.scaled_queries:
        query_states = tempered(c, query_states)
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    scores_dtype = ops.promote(query_states.dtype, c.hidden_dtype)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, block.grouped, scores_dtype)
    attn_output = ops.view(t, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def projected(c: Context, hidden_states: Value, which: str, split: Shape) -> Value:
    """``q_proj(x).view(hidden_shape)``."""
    return ops.view(c.tape, linear(c, hidden_states, f"self_attn.{which}_proj", split, HIDDEN), ("B", "S", *split))


def tempered(c: Context, query_states: Value) -> Value:
    """``(query_states * attn_scales).to(query_states.dtype)``: float32 scales of each position."""
    t = c.tape
    attn_scales = t.allocate(("S",), "float32", "attention scales")
    scaled = ops.mul(t, query_states, attn_scales, "tempered queries")
    return ops.to(t, scaled, query_states.dtype, "tempered queries")


def moe(c: Context, hidden_states: Value) -> Value:
    """Llama4TextMoe.forward: each token is copied for every expert, and weighed with zero where it is not chosen."""
    t = c.tape
    router_scores, router_logits = router(c, hidden_states)
    routed_in = repeated(t, hidden_states)
    weights = ops.copy(t, router_scores, ALL_EXPERTS, "scores by expert")
    routed_in = ops.mul(t, routed_in, weights, "weighed tokens")
    del weights
    routed_out = experts(c, routed_in)
    out = llama.gated_mlp(c, hidden_states, "feed_forward.shared_expert", ("shared_intermediate",))
    return moe_ops.add_in_place(t, out, moe_ops.sum_pairs(t, routed_out, ("B", "S", *HIDDEN)))


def router(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """Llama4Router.forward: the sigmoid of chosen logits, of minus infinity elsewhere."""
    t = c.tape
    router_logits = linear(c, hidden_states, "feed_forward.router", ("experts",), HIDDEN)
    router_top_value, router_indices = moe_ops.topk(t, router_logits, ("B", "S", "top_k"))
    router_scores = moe_ops.scatter_in_place(t, router_top_value, router_indices, SCORES)
    router_scores = ops.to(
        t,
        ops.unary(t, ops.to(t, router_scores, "float32", "router scores"), "sigmoid", saves_output=True),
        router_scores.dtype,
        "router scores",
    )
    return router_scores, router_logits


def repeated(t: Tape, x: Value) -> Value:
    """x.repeat(experts, 1): backward adds the copies' gradients up."""
    before = x.shape

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(before, grad.dtype, "sum grad"),)

    return t.op("tokens for every expert", (*ALL_EXPERTS, *HIDDEN), x.dtype, [x], backward)


def experts(c: Context, hidden_states: Value) -> Value:
    """Llama4TextExperts.forward: batched products over the experts."""
    t = c.tape
    gate_up_proj = c.parameter("feed_forward.experts.gate_up_proj", ("experts", *HIDDEN, 2, *WIDE))
    down_proj = c.parameter("feed_forward.experts.down_proj", ("experts", *WIDE, *HIDDEN))
    gate_up = bmm(c, hidden_states, gate_up_proj, (*ALL_EXPERTS, 2, *WIDE), "gate and up")
    half = (*ALL_EXPERTS, *WIDE)
    gate, up = ops.split(t, gate_up, [half, half])
    next_states = bmm(
        c, ops.mul(t, up, ops.unary(t, gate, "act_fn"), "up*act"), down_proj, (*ALL_EXPERTS, *HIDDEN), "experts' output"
    )
    return next_states


def bmm(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """torch.bmm, which autocast runs in its dtype."""
    t = c.tape
    if t.autocast:
        a, b = autocast(t, a), autocast(t, b)
    return linear_ops.matmul(t, a, b, shape, label)


def embed(c: Context) -> Value:
    """Llama4TextModel.forward up to the layers: chunks are masked as windows are (up to 5.23 always)."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    if c.structure.modeling == "transformers_5_23":
        masks.full_and_sliding_masks(c, always=True, chunked=True)
    else:
        masks.masks_by_kind(c, chunked=True)
    complex_rotary.table(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = early_cast_rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
