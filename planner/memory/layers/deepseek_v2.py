"""DeepSeek-V2 (transformers 5.23 models/deepseek_v2): latent attention rotated as complex numbers, softmax router."""

from planner.memory import complex_rotary, head, latent_modules, moe_routers
from planner.memory.graph import Value
from planner.memory.layers import deepseek_v3, llama
from planner.memory.layers.parts import pre_norm_layer
from planner.memory.modules import Context

loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """DeepseekV2DecoderLayer.forward: the first layers have a plain MLP."""
    mlp = moe if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, attention, mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """DeepseekV2Attention.forward."""
    return latent_modules.attention(c, hidden_states, complex_rotary.apply_rotary_emb)


def moe(c: Context, hidden_states: Value) -> Value:
    """DeepseekV2Moe.forward."""
    return deepseek_v3.routed_and_shared(c, hidden_states, moe_routers.softmax_router(c, hidden_states))


def embed(c: Context) -> Value:
    """DeepseekV2Model.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    complex_rotary.table(c)
    return embeddings
