"""OLMo (transformers 5.23 models/olmo): norms without weights, float32 rotation, projections clamped in place."""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layernorm_modules import layer_norm
from planner.memory.layers import llama
from planner.memory.layers.olmo2 import apply_rotary_pos_emb
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, pre_norm_layer
from planner.memory.modules import Context, linear


def layer(c: Context, hidden_states: Value) -> Value:
    """OlmoDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, attention, llama.mlp, plain_layer_norm)


def plain_layer_norm(c: Context, hidden_states: Value, name: str) -> Value:
    """OlmoLayerNorm.forward: in float32, without weight or bias."""
    t = c.tape
    return ops.to(
        t, layer_norm(c, ops.to(t, hidden_states, "float32"), name, affine=False), hidden_states.dtype, "normalized"
    )


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """OlmoAttention.forward."""
    query_states = linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN)
    key_states = linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN)
    value_states = linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN)
    query_states = clip(c, query_states)
    key_states = clip(c, key_states)
    value_states = clip(c, value_states)
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    query_states, key_states = apply_rotary_pos_emb(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def clip(c: Context, x: Value) -> Value:
    """``x.clamp_(-clip_qkv, clip_qkv)`` where the config has a limit."""
    return ops.clamp_in_place(c.tape, x) if c.structure.block.clip_qkv else x


def embed(c: Context) -> Value:
    """OlmoModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c, "float32")
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = plain_layer_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
