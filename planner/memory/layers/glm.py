"""GLM (transformers 5.23 models/glm): Llama's layer, pairs of neighbours rotated in a part of each head, fused MLP."""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama, phi3
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, pre_norm_layer
from planner.memory.modules import Context, linear, rotary

loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """GlmDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, attention, phi3.mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GlmAttention.forward."""
    query_states = llama.heads(c, linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states, key_states = apply_rotary_pos_emb(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def apply_rotary_pos_emb(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """cos and sin with each angle twice in a row are new tensors of this layer."""
    t = c.tape
    cos = t.allocate(c.cos.shape, c.cos.dtype, "interleaved cos")
    sin = t.allocate(c.cos.shape, c.cos.dtype, "interleaved sin")
    return rotate_parts(c, q, k, cos, sin)


def rotate_parts(c: Context, q: Value, k: Value, cos: Value, sin: Value) -> tuple[Value, Value]:
    """Both are rotated before either is joined with the rest of its heads."""
    t = c.tape
    q_rot, q_pass = phi3.rotated_part(c, q), ops.narrow(t, q, (*q.shape[:-1], "rest_dim"))
    k_rot, k_pass = phi3.rotated_part(c, k), ops.narrow(t, k, (*k.shape[:-1], "rest_dim"))
    q_embed = rotary(c, q_rot, cos, sin)
    k_embed = rotary(c, k_rot, cos, sin)
    q_embed = ops.cat(t, [q_embed, q_pass], q.shape)
    k_embed = ops.cat(t, [k_embed, k_pass], k.shape)
    return q_embed, k_embed


def embed(c: Context) -> Value:
    """GlmModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c, saved=False)
    return embeddings
