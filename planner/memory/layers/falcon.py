"""Falcon (transformers 5.23 models/falcon): one LayerNorm or two, multi-query or grouped keys, linears by matmul.

The mask is always materialised. With one key for all query heads, sdpa has no fused kernel and takes the math path.
"""

from planner.memory import head, linear_ops, modules, ops
from planner.memory.attention_modules import (
    add_mask,
    holds_returned_weights,
    keep_returned_weights,
    math_attention,
    matmul,
    merge_heads,
    returned_weights,
    transposed,
)
from planner.memory.graph import Value
from planner.memory.layernorm_modules import (
    HIDDEN,
    WIDE,
    activation,
    dropout,
    layer_norm,
    norm_and_loss,
)
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary
from planner.memory.tape import Tape

HEADS: Shape = ("B", "heads", "S", "head_dim")
KEYS: Shape = ("B", "kv_heads", "S", "head_dim")
ONE_KEY: Shape = ("B", 1, "S", "head_dim")
SCORES: Shape = ("B", "heads", "S", "S")


def layer(c: Context, hidden_states: Value) -> Value:
    """FalconDecoderLayer.forward."""
    block = c.structure.block
    if c.structure.attention == "eager":
        hidden_states = holds_returned_weights(c, hidden_states, SCORES, c.hidden_dtype)
    residual = hidden_states
    if two_norms(c):
        attention_layernorm_out = layer_norm(c, hidden_states, "ln_attn")
        mlp_layernorm_out = layer_norm(c, hidden_states, "ln_mlp")
    else:
        attention_layernorm_out = layer_norm(c, hidden_states, "input_layernorm")
        mlp_layernorm_out = attention_layernorm_out
    attention_output, attn_weights = attention(c, attention_layernorm_out)
    if not block.parallel:
        residual = dropout_add(c, attention_output, residual, block.attention_dropout)
        mlp_layernorm_out = layer_norm(c, residual, "post_attention_layernorm")
    mlp_output = mlp(c, mlp_layernorm_out)
    if block.parallel:
        mlp_output = add_in_place(c.tape, mlp_output, attention_output)
    keep_returned_weights(c, hidden_states, attn_weights)
    return dropout_add(c, mlp_output, residual, block.residual_dropout)


def two_norms(c: Context) -> bool:
    """ln_attn and ln_mlp of the new decoder architecture."""
    return c.structure.block.parallel and c.structure.block.num_norms == 2


def new_architecture(c: Context) -> bool:
    """new_decoder_architecture: grouped keys, spread to all heads before anything else."""
    block = c.structure.block
    return two_norms(c) or (block.grouped and not block.multi_query)


def dropout_add(c: Context, x: Value, residual: Value, wanted: bool) -> Value:
    """``residual + F.dropout(x)``."""
    out = dropout(c, x, wanted)
    out = ops.add(c.tape, residual, out, "hidden states")
    return out


def add_in_place(t: Tape, a: Value, b: Value) -> Value:
    """``a += b``."""

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad), ops.same(grad))

    return t.op("add_", a.shape, a.dtype, [a, b], backward, view=a, kind="elementwise")


def mlp(c: Context, x: Value) -> Value:
    """FalconMLP.forward."""
    wide = linear(c, x, "mlp.dense_h_to_4h", WIDE, HIDDEN)
    x = activation(c, wide)
    del wide
    return linear(c, x, "mlp.dense_4h_to_h", HIDDEN, WIDE)


# -- attention -------------------------------------------------------------------------------------------------------


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """FalconAttention.forward."""
    t = c.tape
    fused_qkv = linear(c, hidden_states, "self_attention.query_key_value", ("qkv_width",), HIDDEN)
    query_layer, key_layer, value_layer = split_heads(c, fused_qkv)
    if c.structure.block.position != "alibi":
        query_layer, key_layer = rotary(c, query_layer), rotary(c, key_layer)
    if c.structure.attention != "eager":
        attn_output, attention_scores = sdpa(c, query_layer, key_layer, value_layer), None
    else:
        attn_output, attention_scores = eager(c, query_layer, key_layer, value_layer, hidden_states.dtype)
    attn_output = ops.view(t, attn_output, ("B", "S", "hidden"))
    attn_output = linear(c, attn_output, "self_attention.dense", HIDDEN, HIDDEN)
    return attn_output, attention_scores


def split_heads(c: Context, fused_qkv: Value) -> tuple[Value, Value, Value]:
    """FalconAttention._split_heads and the transposes after it: views, or copies made by indexing with a list."""
    t = c.tape
    query = ops.narrow(t, fused_qkv, HEADS)
    if new_architecture(c):
        key, value = indexed(t, fused_qkv, KEYS), indexed(t, fused_qkv, KEYS)
        flat = [ops.copy(t, query, label="queries"), *(ops.expand_copy(t, x, HEADS) for x in (key, value))]
        for x in flat:
            x.contiguous = False
        return flat[0], flat[1], flat[2]
    if c.structure.block.multi_query:
        return query, indexed(t, fused_qkv, ONE_KEY), indexed(t, fused_qkv, ONE_KEY)
    return query, ops.narrow(t, fused_qkv, HEADS), ops.narrow(t, fused_qkv, HEADS)


def indexed(t: Tape, x: Value, shape: Shape) -> Value:
    """``x[..., [-1], :]``: a copy; backward puts the gradient into zeros of the whole shape."""
    whole = x.shape

    def backward(grad: Value, index: Value) -> ops.Grads:
        return (t.allocate(whole, grad.dtype, "index grad"),)

    return t.op("index", shape, x.dtype, [x], backward, [t.allocate((1,), "int64", "index")])


def sdpa(c: Context, query: Value, key: Value, value: Value) -> Value:
    """scaled_dot_product_attention with a mask, whose kernels need as many key as query heads."""
    t, block = c.tape, c.structure.block
    alibi = block.position == "alibi"
    drops = alibi and block.attention_dropout
    if t.autocast:
        query, key, value = (linear_ops.autocast(t, v) for v in (query, key, value))
    if c.structure.attention == "flash_attention_2":
        return ops.view(t, modules.fused_attention(t, query, key, value), ("B", "S", "heads", "head_dim"))
    mask = t.external(SCORES, query.dtype) if alibi else t.allocate(("B", 1, "S", "S"), query.dtype, "attention mask")
    if key.shape != query.shape or (drops and c.structure.device == "cpu"):
        return merge_heads(t, math_attention(c, query, key, value, mask, drops))
    out = modules.fused_attention(t, query, key, value, mask)
    return ops.view(t, out, ("B", "S", "heads", "head_dim"))


def eager(c: Context, query: Value, key: Value, value: Value, dtype: str) -> tuple[Value, Value]:
    """Scores divided in place, mask, softmax in the hidden states' dtype; with ALiBi scores go to float32 first."""
    t, block = c.tape, c.structure.block
    attention_scores = matmul(c, query, transposed(t, key), SCORES, "scores")
    if block.position == "alibi":
        attention_scores = ops.to(t, attention_scores, "float32")
        attention_logits = scaled_in_place(t, ops.add_constant(t, attention_scores, "scores and alibi"))
        masked = add_mask(t, attention_logits, c.hidden_dtype)
        attention_scores = dropout(c, ops.softmax(t, masked, dtype), block.attention_dropout)
        del masked
    else:
        attention_scores = scaled_in_place(t, attention_scores)
        attention_scores = ops.softmax(t, add_mask(t, attention_scores, c.hidden_dtype), dtype)
    attention_scores = returned_weights(c, attention_scores)
    return merge_heads(t, matmul(c, attention_scores, value, HEADS, "attention output")), attention_scores


def scaled_in_place(t: Tape, x: Value) -> Value:
    """``x /= number``."""

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "scale grad"),)

    return t.op("div_", x.shape, x.dtype, [x], backward, view=x, kind="elementwise")


# -- around the layers -----------------------------------------------------------------------------------------------


def embed(c: Context) -> Value:
    """FalconModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    if c.structure.attention != "flash_attention_2":
        c.forward_only.append(mask_of(c))
    if c.structure.block.position == "alibi":
        unused_tables(c)
    else:
        head.rotary_tables(c)
    c.model_locals.append(inputs_embeds)
    return inputs_embeds


def unused_tables(c: Context) -> None:
    """ALiBi's slopes times positions; position ids and rotary tables are made and handed to the layers all the same."""
    t = c.tape
    c.forward_only += [
        t.allocate(("B", "heads", "S"), c.hidden_dtype, "alibi"),
        t.allocate(("S",), "int64", "position ids"),
        t.allocate((2, "S", "head_dim"), c.hidden_dtype, "cos and sin"),
    ]


def mask_of(c: Context) -> Value:
    """create_causal_mask(allow_is_causal_skip=False), and ALiBi in its place where the config says so."""
    t, s = c.tape, c.structure
    if s.block.position == "alibi":
        return t.allocate(SCORES, c.hidden_dtype, "alibi mask")
    if s.attention == "eager":
        return t.allocate(("B", "S", "S"), c.hidden_dtype, "attention mask")
    return t.allocate(("B", "S", "S") if s.mask == "padded" else ("S", "S"), "bool", "attention mask")


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
