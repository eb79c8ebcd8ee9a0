"""Qwen3.5 on text (transformers 5.23 models/qwen3_5, qwen3_5_moe): Qwen3-Next's layers with split projections.

The rotary tables are made from position ids of three grids and so have one row a sequence.
"""

from planner.memory import head, masks, mixer_modules, ops
from planner.memory.graph import Value
from planner.memory.layers import gemma, llama, qwen3_next
from planner.memory.layers.parts import HIDDEN, pre_norm_layer
from planner.memory.layers.qwen3_next import INNER, KEY_HEADS, VALUE_HEADS
from planner.memory.modules import Context, linear
from planner.memory.norms import unit_offset_rms_norm
from planner.memory.structure import FULL

loss = gemma.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen3_5DecoderLayer.forward."""
    mixer = delta_net if c.structure.block.mixer == "linear" else qwen3_next.attention
    mlp = sparse_moe_block if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, mixer, mlp, unit_offset_rms_norm)


def delta_net(c: Context, hidden_states: Value) -> tuple[Value, None]:
    """Qwen3_5GatedDeltaNet.forward."""
    t = c.tape
    hidden_states = mixer_modules.without_padding(c, hidden_states)
    mixed_qkv = linear(c, hidden_states, "linear_attn.in_proj_qkv", ("conv_width",), HIDDEN)
    mixed_qkv = ops.view(t, mixed_qkv, ("B", "conv_width", "S"))
    z = ops.view(t, linear(c, hidden_states, "linear_attn.in_proj_z", INNER, HIDDEN), VALUE_HEADS)
    b = linear(c, hidden_states, "linear_attn.in_proj_b", ("value_heads",), HIDDEN)
    a = linear(c, hidden_states, "linear_attn.in_proj_a", ("value_heads",), HIDDEN)
    mixed_qkv = mixer_modules.causal_conv1d(c, mixed_qkv, "linear_attn.conv1d", "conv_width", bias=False)
    query, key, value = ops.split(t, mixed_qkv, [KEY_HEADS, KEY_HEADS, VALUE_HEADS])
    return qwen3_next.mixed(c, query, key, value, b, a, z), None


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """Qwen3_5MoeSparseMoeBlock.forward: the weights of the chosen experts always add up to one."""
    return qwen3_next.routed_and_shared(c, hidden_states, norm=True)


def embed(c: Context) -> Value:
    """Qwen3_5TextModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    with masks.for_layers(c, FULL):
        head.causal_mask(c)
    head.cos_and_sin(c, batched=True)
    return embeddings
