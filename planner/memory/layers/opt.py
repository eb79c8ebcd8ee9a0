"""OPT (transformers 5.23 models/opt): learned positions, separate projections with biases, ReLU, dropout."""

from planner.memory import head, ops
from planner.memory.attention_modules import attend, split_heads
from planner.memory.graph import Value
from planner.memory.layernorm_modules import (
    HIDDEN,
    WIDE,
    activation,
    add_positions,
    layer_norm,
    loss_of,
    position_embedding,
    residual_dropout,
)
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

NARROW: Shape = ("embed_width",)
TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """OPTDecoderLayer.forward; opt-350m norms after each part."""
    t, post = c.tape, c.structure.block.post_norm
    residual = hidden_states
    if not post:
        hidden_states = layer_norm(c, hidden_states, "self_attn_layer_norm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = residual_dropout(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    if post:
        hidden_states = layer_norm(c, hidden_states, "self_attn_layer_norm")
    residual = hidden_states
    if not post:
        hidden_states = layer_norm(c, hidden_states, "final_layer_norm")
    hidden_states = linear(c, hidden_states, "fc1", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "fc2", HIDDEN, WIDE)
    hidden_states = residual_dropout(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    if post:
        hidden_states = layer_norm(c, hidden_states, "final_layer_norm")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """OPTAttention.forward: queries are scaled before the attention function."""
    t = c.tape
    query_states = ops.scale(t, linear(c, hidden_states, "self_attn.q_proj", HIDDEN, HIDDEN), "scaled queries")
    query_states = split_heads(c, query_states, HEADS)
    key_states = linear(c, hidden_states, "self_attn.k_proj", HIDDEN, HIDDEN)
    value_states = linear(c, hidden_states, "self_attn.v_proj", HIDDEN, HIDDEN)
    key_states = split_heads(c, key_states, HEADS, unrotated_key=True)
    value_states = split_heads(c, value_states, HEADS)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states)
    attn_output = ops.view(t, attn_output, TOKENS)
    attn_output = linear(c, attn_output, "self_attn.out_proj", HIDDEN, HIDDEN)
    return attn_output, attn_weights


def embed(c: Context) -> Value:
    """OPTDecoder.forward up to the layers: positions are counted from a mask, one row a sequence."""
    t = c.tape
    projected = c.structure.block.projected_embeddings
    inputs_embeds = head.token_embedding(c, width=NARROW if projected else HIDDEN)
    if c.structure.mask != "padded":
        c.model_locals.append(t.allocate(("B", "S"), "float32", "mask of ones"))
    c.forward_only.append(t.allocate(("B", "S"), "int64", "position ids"))
    head.causal_mask(c)
    pos_embeds = position_embedding(c, "embed_positions.weight", t.allocate(("B", "S"), "int64", "offset positions"))
    if projected:
        inputs_embeds = linear(c, inputs_embeds, "project_in", HIDDEN, NARROW)
    hidden_states = add_positions(t, inputs_embeds, pos_embeds)
    c.model_locals += [inputs_embeds, pos_embeds]
    return hidden_states


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm where norms come first, the projection to the embeddings' width, the head and the loss."""
    if not c.structure.block.post_norm:
        hidden_states = layer_norm(c, hidden_states, "final_layer_norm")
    if c.structure.block.projected_embeddings:
        hidden_states = linear(c, hidden_states, "project_out", NARROW, HIDDEN)
    return loss_of(c, hidden_states)
