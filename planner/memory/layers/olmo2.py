"""OLMo 2 (transformers 5.23 models/olmo2): norms after each half and over whole queries and keys, float32 rotation."""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary
from planner.memory.norms import late_cast_rms_norm


def layer(c: Context, hidden_states: Value) -> Value:
    """Olmo2DecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = late_cast_rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = llama.mlp(c, hidden_states)
    hidden_states = late_cast_rms_norm(c, hidden_states, "post_feedforward_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Olmo2Attention.forward."""
    query_states = normed(c, hidden_states, "q", QUERIES)
    key_states = normed(c, hidden_states, "k", KEYS)
    value_states = linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN)
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    query_states, key_states = apply_rotary_pos_emb(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def normed(c: Context, hidden_states: Value, which: str, width: Shape) -> Value:
    """``q_norm(q_proj(x))``: the projection lives until the norm returns."""
    projected = linear(c, hidden_states, f"self_attn.{which}_proj", width, HIDDEN)
    return late_cast_rms_norm(c, projected, f"self_attn.{which}_norm", width)


def apply_rotary_pos_emb(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """The rotation in float32, as cos and sin are, then back to the dtype of queries and keys."""
    t = c.tape
    cos = t.external((1, "S", "rotary_dim"), "float32")
    q_embed, k_embed = rotary(c, q, cos), rotary(c, k, cos)
    return ops.to(t, q_embed, q.dtype), ops.to(t, k_embed, k.dtype)


def embed(c: Context) -> Value:
    """Olmo2Model.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c, "float32")
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = late_cast_rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
