"""Forwards that several families share, with the parts that differ passed in."""

from collections.abc import Callable

from planner.memory import head, masks, ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context, rms_norm

HIDDEN: Shape = ("hidden",)
WIDE: Shape = ("intermediate",)
QUERIES: Shape = ("heads", "head_dim")
KEYS: Shape = ("kv_heads", "head_dim")
Norm = Callable[..., Value]
Attention = Callable[[Context, Value], tuple[Value, Value | None]]
Mlp = Callable[[Context, Value], Value]


def pre_norm_layer(c: Context, hidden_states: Value, attention: Attention, mlp: Mlp, norm: Norm = rms_norm) -> Value:
    """LlamaDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def four_norm_layer(c: Context, hidden_states: Value, attention: Attention, mlp: Mlp, norm: Norm) -> Value:
    """Gemma2DecoderLayer.forward: norms before and after each half."""
    t = c.tape
    residual = hidden_states
    hidden_states = norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = norm(c, hidden_states, "pre_feedforward_layernorm")
    hidden_states = mlp(c, hidden_states)
    hidden_states = norm(c, hidden_states, "post_feedforward_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def embed_with_layer_types(c: Context) -> Value:
    """Qwen3Model.forward up to the layers (also smollm3)."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c)
    head.rotary_tables(c)
    return embeddings


def embed_with_one_mask(c: Context) -> Value:
    """Phi3Model.forward and MixtralModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    masks.one_mask(c)
    head.rotary_tables(c)
    return embeddings
