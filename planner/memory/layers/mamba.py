"""Mamba (transformers 5.23 models/mamba): one norm and one mixer a layer, the residual in float32."""

from planner.memory import head, ops, selective_scan
from planner.memory.graph import Value
from planner.memory.modules import Context, rms_norm

#: Of the hidden states between layers (residual_in_fp32).
STREAM_DTYPE = "float32"


def layer(c: Context, hidden_states: Value) -> Value:
    """MambaBlock.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, ops.to(t, hidden_states, c.hidden_dtype), "norm")
    hidden_states = selective_scan.mixer(c, hidden_states, "mixer")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def embed(c: Context) -> Value:
    """MambaModel.forward up to the layers."""
    embeddings = head.token_embedding(c, "embeddings.weight")
    c.model_locals.append(embeddings)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head on hidden states in its own dtype, and the loss."""
    hidden_states = rms_norm(c, hidden_states, "norm_f")
    c.tape.category = "logits"
    hidden_states = ops.to(c.tape, hidden_states, c.hidden_dtype)
    return head.causal_lm_loss(c, head.lm_head(c, hidden_states))
