"""Cohere, Command R (transformers 5.23 models/cohere, cohere2): one norm, parallel halves, rotation in float32."""

from planner.memory import head, masks, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary
from planner.memory.norms import cohere_layer_norm


def layer(c: Context, hidden_states: Value) -> Value:
    """CohereDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = cohere_layer_norm(c, hidden_states, "input_layernorm")
    hidden_states_attention, _ = attention(c, hidden_states)
    hidden_states_mlp = llama.mlp(c, hidden_states)
    hidden_states = ops.add(t, ops.add(t, residual, hidden_states_attention), hidden_states_mlp, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """CohereAttention.forward; Cohere 2 rotates in layers with a window only."""
    query_states = projected(c, hidden_states, "q_proj", QUERIES)
    key_states = projected(c, hidden_states, "k_proj", KEYS)
    value_states = projected(c, hidden_states, "v_proj", KEYS)
    if c.structure.block.qk_norm != "none":
        query_states = cohere_layer_norm(c, query_states, "self_attn.q_norm", QUERIES)
        key_states = cohere_layer_norm(c, key_states, "self_attn.k_norm", KEYS)
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    if c.structure.block.position == "rope":
        query_states, key_states = apply_rotary_pos_emb(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def projected(c: Context, hidden_states: Value, name: str, split: Shape) -> Value:
    """q_proj, k_proj or v_proj, as [B, S, heads, head_dim]."""
    return ops.view(c.tape, linear(c, hidden_states, f"self_attn.{name}", split, HIDDEN), ("B", "S", *split))


def apply_rotary_pos_emb(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """The rotation of float32 copies, of pairs that lie side by side, then back to the dtype of queries and keys."""
    t, dtype = c.tape, q.dtype
    q, k = ops.to(t, q, "float32"), ops.to(t, k, "float32")
    q_embed, k_embed = rotary(c, q), rotary(c, k)
    return ops.to(t, q_embed, dtype), ops.to(t, k_embed, dtype)


def embed(c: Context) -> Value:
    """CohereModel.forward and Cohere2Model.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    c.model_locals.append(inputs_embeds)
    if c.structure.family == "cohere2":
        masks.full_and_sliding_masks(c, always=True)
    else:
        head.causal_mask(c)
    head.rotary_tables(c)
    return inputs_embeds


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head, the logits' scale and the loss."""
    hidden_states = cohere_layer_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    if c.structure.loss != "fused":
        logits = ops.scale(c.tape, logits, "scaled logits")
    return head.causal_lm_loss(c, logits)
