"""Gemma (transformers 5.23 models/gemma): scaled embeddings and norms whose ``1 + weight`` is applied in float32."""

from planner.memory import head
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.layers.parts import pre_norm_layer
from planner.memory.modules import Context
from planner.memory.norms import unit_offset_rms_norm


def layer(c: Context, hidden_states: Value) -> Value:
    """GemmaDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, llama.attention, llama.mlp, unit_offset_rms_norm)


def embed(c: Context) -> Value:
    """GemmaModel.forward up to the layers."""
    embeddings = head.token_embedding(c, scaled=True)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = unit_offset_rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    return head.causal_lm_loss(c, logits)
