"""GPT-J (transformers 5.24 models/gptj): attention and MLP in parallel, sines and cosines looked up once a forward.

gptj_5_23.py has it as it was before, with eager attention alone and tables of each layer's own.
"""

from planner.memory import head, ops
from planner.memory.attention_modules import (
    add_mask,
    joined,
    matmul,
    merge_heads,
    narrowed,
    sdpa_attention,
    softmax,
    split_heads,
    transposed,
)
from planner.memory.graph import Value
from planner.memory.layernorm_modules import HIDDEN, dropout, layer_norm, residual_dropout
from planner.memory.layers import gptj_5_23
from planner.memory.layers.gpt_neo import HEADS, SCORES, TOKENS
from planner.memory.layers.gptj_5_23 import BY_TOKEN, apply_rotary_pos_emb
from planner.memory.modules import Context, linear

loss = gptj_5_23.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """GPTJBlock.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_1")
    attn_output, _ = attention(c, hidden_states)
    feed_forward_hidden_states = gptj_5_23.mlp(c, hidden_states)
    return ops.add(t, ops.add(t, attn_output, feed_forward_hidden_states), residual, "hidden states")


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GPTJAttention.forward: the rotation is of [B, S, heads, rotary_dim], keys first."""
    t = c.tape
    query = ops.view(t, linear(c, hidden_states, "attn.q_proj", HIDDEN, HIDDEN), BY_TOKEN)
    key = ops.view(t, linear(c, hidden_states, "attn.k_proj", HIDDEN, HIDDEN), BY_TOKEN)
    value = split_heads(c, linear(c, hidden_states, "attn.v_proj", HIDDEN, HIDDEN), HEADS)
    k_rot, k_pass = narrowed(c, key)
    q_rot, q_pass = narrowed(c, query)
    k_rot = apply_rotary_pos_emb(c, k_rot, c.hidden_dtype)
    q_rot = apply_rotary_pos_emb(c, q_rot, c.hidden_dtype)
    key, query = joined(c, k_rot, k_pass, BY_TOKEN), joined(c, q_rot, q_pass, BY_TOKEN)
    query, key = split_heads(c, query, HEADS), split_heads(c, key, HEADS)
    attn_output, attn_weights = attend(c, query, key, value)
    attn_output = ops.view(t, attn_output, TOKENS)
    attn_output = linear(c, attn_output, "attn.out_proj", HIDDEN, HIDDEN)
    attn_output = residual_dropout(c, attn_output)
    return attn_output, attn_weights


def attend(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value | None]:
    """The attention function transformers picks by attn_implementation, with the family's own eager one."""
    if c.structure.attention == "eager":
        return eager_attention(c, query, key, value)
    return sdpa_attention(c, query, key, value), None


def eager_attention(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value]:
    """eager_attention_forward: the product of queries and keys in float32, whose copies have no name."""
    t = c.tape
    scores = matmul(c, ops.to(t, query, "float32"), transposed(t, ops.to(t, key, "float32")), SCORES, "scores")
    attn_weights = ops.scale(t, scores, "scaled scores")
    del scores
    attn_weights = add_mask(t, attn_weights, c.hidden_dtype)
    attn_weights = ops.to(t, softmax(c, attn_weights, None), value.dtype, "attention weights")
    attn_weights = dropout(c, attn_weights, c.structure.block.attention_dropout)
    attn_output = merge_heads(t, matmul(c, attn_weights, value, HEADS, "attention output"))
    return attn_output, attn_weights


def embed(c: Context) -> Value:
    """GPTJModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    head.causal_mask(c)
    c.model_locals.append(inputs_embeds)
    hidden_states = dropout(c, inputs_embeds, c.structure.embedding_dropout)
    c.forward_only.append(c.tape.allocate(("S", "rotary_dim"), c.hidden_dtype, "sin and cos"))
    return hidden_states
