"""GPTBigCode (transformers 5.23 models/gpt_bigcode): GPT-2 with one key head for all queries, and nn.Linear."""

from planner.memory import ops
from planner.memory.attention_modules import attend, split_heads
from planner.memory.graph import Value
from planner.memory.layernorm_modules import HIDDEN, layer_norm, norm_and_loss, residual_dropout
from planner.memory.layers import gpt2
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")
ONE_KEY: Shape = ("B", 1, "S", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """GPTBigCodeBlock.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_1")
    attn_output, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, attn_output, residual, "hidden states")
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_2")
    feed_forward_hidden_states = gpt2.mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, feed_forward_hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GPTBigCodeAttention.forward."""
    t = c.tape
    qkv = linear(c, hidden_states, "attn.c_attn", ("qkv_width",), HIDDEN)
    if c.structure.block.multi_query:
        query, key, value = ops.split(t, qkv, [TOKENS, ONE_KEY, ONE_KEY])
        query = split_heads(c, query, HEADS)
    else:
        query, key, value = ops.split(t, split_heads(c, qkv, ("B", "heads", "S", 3, "head_dim")), [HEADS] * 3)
    del qkv
    attn_output, attn_weights = attend(c, query, key, value)
    attn_output = ops.view(t, attn_output, TOKENS)
    attn_output = linear(c, attn_output, "attn.c_proj", HIDDEN, HIDDEN)
    attn_output = residual_dropout(c, attn_output)
    return attn_output, attn_weights


def embed(c: Context) -> Value:
    """GPTBigCodeModel.forward up to the layers, which do not get the position ids."""
    return gpt2.embed_with_positions(c, c.model_locals)


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
