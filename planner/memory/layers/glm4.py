"""GLM-4 0414 (transformers 5.23 models/glm4): GLM's layer with a norm after each half too."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.layers import glm, llama, phi3
from planner.memory.modules import Context, rms_norm

embed = glm.embed
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Glm4DecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = glm.attention(c, hidden_states)
    hidden_states = rms_norm(c, hidden_states, "post_self_attn_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = phi3.mlp(c, hidden_states)
    hidden_states = rms_norm(c, hidden_states, "post_mlp_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states
