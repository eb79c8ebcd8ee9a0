"""Gemma 3, text (transformers 5.23 models/gemma3): Gemma 2's layer with norms on queries and keys, without a cap."""

from planner.memory import head, masks, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import gemma2, llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, four_norm_layer
from planner.memory.modules import Context, linear, rotary
from planner.memory.norms import unit_offset_rms_norm

loss = gemma2.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Gemma3DecoderLayer.forward."""
    return four_norm_layer(c, hidden_states, attention, llama.mlp, unit_offset_rms_norm)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Gemma3Attention.forward."""
    query_states = llama.heads(c, linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states = unit_offset_rms_norm(c, query_states, "self_attn.q_norm", ("head_dim",))
    key_states = unit_offset_rms_norm(c, key_states, "self_attn.k_norm", ("head_dim",))
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def embed(c: Context) -> Value:
    """Gemma3TextModel.forward up to the layers: rotary tables for each kind of layer."""
    embeddings = head.token_embedding(c, scaled=True)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c, always=True)
    masks.tables_by_kind(c)
    return embeddings
