"""StarCoder 2 (transformers 5.23 models/starcoder2): Llama's attention with biases, LayerNorm, a plain MLP, dropout."""

from planner.memory import head, masks, ops
from planner.memory.attention_modules import attend, split_heads
from planner.memory.graph import Value
from planner.memory.layernorm_modules import HIDDEN, WIDE, activation, dropout, layer_norm, norm_and_loss
from planner.memory.layernorm_modules import residual_dropout as dropped
from planner.memory.layers.parts import KEYS, QUERIES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary


def layer(c: Context, hidden_states: Value) -> Value:
    """Starcoder2DecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Starcoder2Attention.forward."""
    query_states = projected(c, hidden_states, "q_proj", QUERIES)
    key_states = projected(c, hidden_states, "k_proj", KEYS)
    value_states = projected(c, hidden_states, "v_proj", KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    attn_output = dropped(c, attn_output)
    return attn_output, attn_weights


def projected(c: Context, hidden_states: Value, name: str, split: Shape) -> Value:
    """q_proj, k_proj or v_proj, as [B, heads, S, head_dim]."""
    return split_heads(c, linear(c, hidden_states, f"self_attn.{name}", split, HIDDEN), ("B", split[0], "S", split[1]))


def mlp(c: Context, hidden_states: Value) -> Value:
    """Starcoder2MLP.forward."""
    hidden_states = linear(c, hidden_states, "mlp.c_fc", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "mlp.c_proj", HIDDEN, WIDE)
    hidden_states = dropped(c, hidden_states)
    return hidden_states


def embed(c: Context) -> Value:
    """Starcoder2Model.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    masks.one_mask(c)
    hidden_states = dropout(c, inputs_embeds, c.structure.embedding_dropout)
    head.rotary_tables(c)
    c.model_locals.append(inputs_embeds)
    return hidden_states


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "norm")
