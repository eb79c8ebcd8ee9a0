"""Qwen3-Next (transformers 5.23 models/qwen3_next): gated delta nets, gated attention in one of four layers, experts.

The delta rule and the convolution are the torch code that runs without the packages fla and causal-conv1d.
"""

from planner.memory import attention_modules, head, masks, mixer_modules, moe_modules, ops, recurrent_ops
from planner.memory.delta_rule import chunk_gated_delta_rule
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import gemma, llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, pre_norm_layer
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.norms import unit_offset_rms_norm
from planner.memory.structure import FULL

loss = gemma.loss
KEY_HEADS: Shape = ("B", "S", "key_heads", "k_dim")
VALUE_HEADS: Shape = ("B", "S", "value_heads", "v_dim")
PER_HEAD: Shape = ("B", "S", "value_heads")
INNER: Shape = ("value_heads", "v_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen3NextDecoderLayer.forward."""
    mixer = delta_net if c.structure.block.mixer == "linear" else attention
    mlp = sparse_moe_block if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, mixer, mlp, unit_offset_rms_norm)


# -- gated attention -------------------------------------------------------------------------------------------------


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Qwen3NextAttention.forward: a gate beside the queries, rotary positions for part of each head."""
    t = c.tape
    both = linear(c, hidden_states, "self_attn.q_proj", ("heads", 2, "head_dim"), HIDDEN)
    query_states, gate = ops.split(t, both, [("B", "S", *QUERIES)] * 2)
    del both
    gate = ops.copy(t, gate, label="gate")
    query_states = normed(c, query_states, "q", QUERIES)
    key_states = normed(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), "k", KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states, key_states = attention_modules.partly_rotated(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(t, attn_output, ("B", "S", *QUERIES))
    attn_output = ops.mul(t, attn_output, ops.unary(t, gate, "sigmoid", saves_output=True), "gated output")
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def normed(c: Context, x: Value, which: str, split: Shape) -> Value:
    """``q_norm(x).transpose(1, 2)``."""
    x = ops.view(c.tape, x, ("B", "S", *split))
    x = unit_offset_rms_norm(c, x, f"self_attn.{which}_norm", ("head_dim",))
    return ops.view(c.tape, x, ("B", split[0], "S", split[1]), contiguous=False)


# -- gated delta net -------------------------------------------------------------------------------------------------


def delta_net(c: Context, hidden_states: Value) -> tuple[Value, None]:
    """Qwen3NextGatedDeltaNet.forward."""
    t = c.tape
    hidden_states = mixer_modules.without_padding(c, hidden_states)
    projected_states_qkvz = linear(c, hidden_states, "linear_attn.in_proj_qkvz", ("qkvz_width",), HIDDEN)
    projected_states_ba = linear(c, hidden_states, "linear_attn.in_proj_ba", (2, "value_heads"), HIDDEN)
    query, key, value, z = ops.split(t, projected_states_qkvz, [KEY_HEADS, KEY_HEADS, VALUE_HEADS, VALUE_HEADS])
    b, a = ops.split(t, projected_states_ba, [PER_HEAD, PER_HEAD])
    value, z, b, a = (ops.copy(t, x) for x in (value, z, b, a))
    query, key = (ops.copy(t, x) for x in (query, key))
    mixed_qkv = ops.cat(t, (query, key, value), ("B", "conv_width", "S"), "q, k and v")
    mixed_qkv = mixer_modules.causal_conv1d(c, mixed_qkv, "linear_attn.conv1d", "conv_width", bias=False)
    query, key, value = ops.split(t, mixed_qkv, [KEY_HEADS, KEY_HEADS, VALUE_HEADS])
    output = mixed(c, query, key, value, b, a, z)
    del projected_states_qkvz, projected_states_ba
    return output, None


def mixed(c: Context, query: Value, key: Value, value: Value, b: Value, a: Value, z: Value) -> Value:
    """From the convolved queries, keys and values to the output."""
    t = c.tape
    beta = ops.unary(t, b, "beta", saves_output=True)
    g = decay(c, a)
    core_attn_out = chunk_gated_delta_rule(c, query, key, value, g, beta)
    core_attn_out = gated_norm(c, core_attn_out, z)
    return linear(c, core_attn_out, "linear_attn.out_proj", HIDDEN, INNER)


def decay(c: Context, a: Value) -> Value:
    """``-A_log.float().exp() * F.softplus(a.float() + dt_bias)``."""
    t = c.tape
    a_log = ops.to(t, c.parameter("linear_attn.A_log", ("value_heads",)), "float32")
    rate = ops.scale(t, recurrent_ops.exp(t, a_log))
    del a_log
    shifted = ops.add(t, ops.to(t, a, "float32"), c.parameter("linear_attn.dt_bias", ("value_heads",)))
    return ops.mul(t, rate, ops.unary(t, shifted, "softplus"), "decay", a.shape)


def gated_norm(c: Context, x: Value, gate: Value) -> Value:
    """Qwen3NextRMSNormGated.forward: normed, scaled in the input's dtype, then gated in float32."""
    t = c.tape
    before, t.scope = t.scope, "linear_attn.norm: "
    weight = c.parameter("linear_attn.norm.weight", ("v_dim",))
    input_dtype = x.dtype
    hidden_states = ops.to(t, x, "float32")
    variance = ops.mean_last(t, ops.square(t, hidden_states))
    hidden_states = ops.mul(t, hidden_states, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    hidden_states = ops.mul(t, ops.to(t, hidden_states, input_dtype), weight, "normalized and scaled")
    opened = ops.unary(t, ops.to(t, gate, "float32"), "act_fn")
    hidden_states = ops.mul(t, hidden_states, opened, "gated")
    out = ops.to(t, hidden_states, input_dtype)
    t.scope = before
    return out


# -- experts ---------------------------------------------------------------------------------------------------------


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """Qwen3NextSparseMoeBlock.forward."""
    return routed_and_shared(c, hidden_states, c.structure.block.norm_top_k)


def routed_and_shared(c: Context, hidden_states: Value, norm: bool) -> Value:
    """The chosen experts, and one for all tokens with a gate of its own."""
    t = c.tape
    shared_expert_output = llama.gated_mlp(c, hidden_states, "mlp.shared_expert", ("shared_intermediate",))
    router_logits, routing_weights, selected_experts = moe_modules.router(c, hidden_states, norm, keep_dtype=True)
    expert_output = moe_modules.experts(c, hidden_states, selected_experts, routing_weights)
    gate = ops.unary(t, linear(c, hidden_states, "mlp.shared_expert_gate", (1,), HIDDEN), "sigmoid", saves_output=True)
    shared_expert_output = ops.mul(t, gate, shared_expert_output, "gated shared expert", hidden_states.shape)
    expert_output = ops.add(t, expert_output, shared_expert_output, "experts' output")
    return expert_output


def embed(c: Context) -> Value:
    """Qwen3NextModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    with masks.for_layers(c, FULL):
        head.causal_mask(c)
    head.rotary_tables(c)
    return embeddings
