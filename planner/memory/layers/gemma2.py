"""Gemma 2 (transformers 5.23 models/gemma2): four norms a layer, alternating windows, soft-capped scores and logits."""

from planner.memory import head, masks, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, four_norm_layer
from planner.memory.modules import Context, linear, rotary, softcapped
from planner.memory.norms import unit_offset_rms_norm


def layer(c: Context, hidden_states: Value) -> Value:
    """Gemma2DecoderLayer.forward."""
    return four_norm_layer(c, hidden_states, attention, llama.mlp, unit_offset_rms_norm)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Gemma2Attention.forward."""
    block = c.structure.block
    query_states = llama.heads(c, linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, block.grouped, softcap=block.softcap)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def embed(c: Context) -> Value:
    """Gemma2Model.forward up to the layers."""
    embeddings = head.token_embedding(c, scaled=True)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c, always=True)
    head.rotary_tables(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head, the cap on the logits and the loss."""
    hidden_states = unit_offset_rms_norm(c, hidden_states, "norm")
    return capped_loss(c, hidden_states)


def capped_loss(c: Context, hidden_states: Value) -> Value:
    """The head, the cap on the logits where there is one, and the loss."""
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    if c.structure.final_softcap and head.keeps_logits(c):
        logits = softcapped(c.tape, logits, "logits")
    return head.causal_lm_loss(c, logits)
