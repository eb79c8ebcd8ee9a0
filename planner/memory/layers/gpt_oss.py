"""gpt-oss (transformers 5.23 models/gpt_oss): attention sinks, experts with biases behind a clamped gate."""

from planner.memory import head, masks, moe_modules, moe_ops, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.deepseek_v3 import rotated_halves
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES
from planner.memory.linear_ops import dense
from planner.memory.live import Shape
from planner.memory.modules import Context, batched_matmul, linear, repeat_kv
from planner.memory.moe_modules import PAIRS
from planner.memory.norms import late_cast_rms_norm

SCORES: Shape = ("B", "heads", "S", "S")
WITH_SINK: Shape = ("B", "heads", "S", "S_and_sink")


def layer(c: Context, hidden_states: Value) -> Value:
    """GptOssDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = late_cast_rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = late_cast_rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states, _ = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GptOssAttention.forward."""
    query_states = llama.heads(c, linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend_with_sinks(c, query_states, key_states, value_states)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def attend_with_sinks(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value | None]:
    """The eager function, or a fused kernel that is handed the sinks."""
    if c.structure.attention == "eager":
        return eager_attention_forward(c, query, key, value)
    return attend(c, query, key, value, c.structure.block.grouped)


def rotary(c: Context, x: Value) -> Value:
    """_apply_rotary_emb: both halves of each head against tables of half its width."""
    half = (*x.shape[:-1], "half_rotary_dim")
    first_half, second_half = ops.split(c.tape, x, [half, half])
    return rotated_halves(c, first_half, second_half)


def eager_attention_forward(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value]:
    """eager_attention_forward: one more column of scores, the sink, takes part in the softmax."""
    t, grouped = c.tape, c.structure.block.grouped
    key_states = repeat_kv(c, key, query.shape) if grouped else key
    value_states = repeat_kv(c, value, query.shape) if grouped else value
    attn_weights = ops.scale(t, batched_matmul(c, query, key_states, SCORES, "scores"), "scaled scores")
    attn_weights = ops.add_constant(t, attn_weights, "masked scores", c.hidden_dtype)
    sinks = ops.expand_view(t, c.parameter("self_attn.sinks", ("heads",)), (*SCORES[:3], 1))
    dtype = ops.promote(attn_weights.dtype, sinks.dtype)
    parts = [ops.to(t, attn_weights, dtype), ops.to(t, sinks, dtype)]
    combined_logits = ops.cat(t, parts, WITH_SINK, "scores and sinks")
    del parts
    combined_logits = less_their_largest(c, combined_logits)
    probs = ops.softmax(t, combined_logits)
    scores = ops.narrow(t, probs, SCORES)
    attn_weights = ops.to(t, scores, value_states.dtype, "attention weights")
    attn_weights.contiguous = True  # rows of a slice can still be folded into one batch
    attn_output = batched_matmul(c, attn_weights, value_states, query.shape, "attention output")
    attn_output = ops.copy(t, attn_output, ("B", "S", *QUERIES), "attention output")
    return attn_output, attn_weights


def less_their_largest(c: Context, logits: Value) -> Value:
    """``combined_logits - combined_logits.max(dim=-1, keepdim=True).values``; max saves its index as top-k does."""
    largest, _ = moe_ops.topk(c.tape, logits, (*logits.shape[:-1], 1))
    del _
    return ops.subtract(c.tape, logits, largest, "scores less their largest")


def mlp(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """GptOssMLP.forward."""
    _, router_scores, router_indices = router(c, hidden_states)
    hidden_states = moe_modules.experts(c, hidden_states, router_indices, router_scores, clamped_gate, biased=True)
    return hidden_states, router_scores


def router(c: Context, hidden_states: Value) -> tuple[Value, Value, Value]:
    """GptOssTopKRouter.forward: softmax over the chosen logits only."""
    t = c.tape
    weight = c.parameter("mlp.router.weight", ("experts", *HIDDEN))
    bias = c.parameter("mlp.router.bias", ("experts",))
    router_logits = dense(t, hidden_states, weight, bias, ("experts",))
    router_top_value, router_indices = moe_ops.topk(t, router_logits, PAIRS)
    router_scores = ops.softmax(t, router_top_value)
    return router_logits, router_scores, router_indices


def clamped_gate(c: Context, gate_up: Value) -> Value:
    """GptOssExperts._apply_gate: neighbours are gate and up, both clamped."""
    t = c.tape
    half: Shape = (*PAIRS, "intermediate")
    gate, up = ops.narrow(t, gate_up, half), ops.narrow(t, gate_up, half)
    gate = ops.clamp(t, gate, limits=1)
    up = ops.clamp(t, up)
    glu = ops.mul(t, gate, ops.unary(t, ops.scale(t, gate, "alpha*gate"), "sigmoid", saves_output=True), "glu")
    gated_output = ops.mul(t, ops.add_constant(t, up, "up+1"), glu, "gated output")
    return gated_output


def embed(c: Context) -> Value:
    """GptOssModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c, always=True)
    head.rotary_tables(c, width="half_rotary_dim")
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = late_cast_rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
