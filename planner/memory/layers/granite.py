"""Granite (transformers 5.23 models/granite): Llama's layer with multipliers on embeddings, residuals and logits."""

from planner.memory import head, ops
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.modules import Context, rms_norm


def layer(c: Context, hidden_states: Value) -> Value:
    """GraniteDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = llama.attention(c, hidden_states)
    hidden_states = ops.add(t, residual, ops.scale(t, hidden_states, "scaled"), "hidden states")
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = llama.mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, ops.scale(t, hidden_states, "scaled"), "hidden states")
    return hidden_states


def embed(c: Context) -> Value:
    """GraniteModel.forward up to the layers."""
    embeddings = ops.scale(c.tape, head.token_embedding(c), "scaled embeddings")
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head, the division by logits_scaling and the loss."""
    hidden_states = rms_norm(c, hidden_states, "norm")
    c.tape.category = "logits"
    logits = head.lm_head(c, hidden_states)
    if head.keeps_logits(c):
        logits = ops.scale(c.tape, logits, "scaled logits")
    return head.causal_lm_loss(c, logits)
