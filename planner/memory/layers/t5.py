"""T5 and mT5 (transformers 5.23 models/t5, models/mt5): two stacks, cross-attention, position biases that layers share.

The first layer of a stack makes the biases and hands them on; every decoder layer is given the encoder's output.
"""

from planner.memory import head, ops, sharing
from planner.memory.graph import Value
from planner.memory.layernorm_modules import activation, dropout, residual_dropout
from planner.memory.layers import t5_attention
from planner.memory.layers.parts import HIDDEN, WIDE
from planner.memory.layers.t5_attention import BIAS, STATES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.norms import t5_layer_norm
from planner.memory.sharing import Handed
from planner.memory.tape import Tape

TOKENS: Shape = ("B", "S", "hidden")


def given(c: Context) -> Handed:
    """What a layer gets beside its input: the stack's biases from the first layer, and the encoder's output."""
    t, s = c.tape, c.structure
    values: Handed = {}
    if not s.block.position_bias:
        wanted = s.train_base or s.checkpointing == "reentrant"  # all that a checkpoint of this kind returns
        values["position bias"] = sharing.given(t, "position bias", BIAS, c.hidden_dtype, wanted)
        values["position bias"].contiguous = False
    if s.block.cross and s.block.position_bias:
        values["encoder states"], _ = t.boundary(STATES, c.hidden_dtype, s.given_requires_grad, "encoder states")
    elif s.block.cross:
        values["encoder states"] = sharing.given(t, "encoder states", STATES, c.hidden_dtype, s.given_requires_grad)
        dtype = t5_attention.query_dtype(c, "layer.1.EncDecAttention")
        values["cross bias"] = sharing.given(t, "cross bias", BIAS, dtype, s.checkpointing != "none")
        if cached_cast(c, dtype):
            values["cross bias"].node, values["cross bias"].leaf = None, "cross bias"
            cast = sharing.given(t, "cross bias", BIAS, str(t.autocast), True)
            values[sharing.cast_of("cross bias")] = t.cast_cache["cross bias"] = cast
    return values


def cached_cast(c: Context, dtype: str) -> bool:
    """Whether autocast keeps one copy of the cross bias for all layers: where sdpa casts a leaf."""
    s = c.structure
    plain = s.checkpointing == "non_reentrant" and s.attention != "eager" and s.mask != "padded"
    return plain and c.tape.autocast not in (None, dtype)


def layer(c: Context, hidden_states: Value, handed: Handed) -> tuple[Value, Handed]:
    """T5Block.forward."""
    hidden_states, position_bias, _ = self_attention(c, hidden_states, handed.get("position bias"))
    hidden_states = clamped(c, hidden_states)
    shared = {"position bias": position_bias}
    if c.structure.block.cross:
        hidden_states, shared["cross bias"], _ = cross_attention(
            c, hidden_states, handed["encoder states"], handed.get("cross bias")
        )
        if cached_cast(c, shared["cross bias"].dtype):
            shared[sharing.cast_of("cross bias")] = c.tape.cast_cache["cross bias"]
        hidden_states = clamped(c, hidden_states)
    hidden_states = feed_forward(c, hidden_states)
    hidden_states = clamped(c, hidden_states)
    return hidden_states, shared


def self_attention(c: Context, hidden_states: Value, position_bias: Value | None) -> tuple[Value, Value, Value | None]:
    """T5LayerSelfAttention.forward."""
    normed_hidden_states = t5_layer_norm(c, hidden_states, "layer.0.layer_norm")
    attention_output, position_bias, attn_weights = t5_attention.attention(
        c, "layer.0.SelfAttention", normed_hidden_states, normed_hidden_states, position_bias
    )
    attention_output = ops.add(c.tape, hidden_states, residual_dropout(c, attention_output), "hidden states")
    return attention_output, position_bias, attn_weights


def cross_attention(
    c: Context, hidden_states: Value, key_value_states: Value, position_bias: Value | None
) -> tuple[Value, Value, Value | None]:
    """T5LayerCrossAttention.forward."""
    normed_hidden_states = t5_layer_norm(c, hidden_states, "layer.1.layer_norm")
    attention_output, position_bias, attn_weights = t5_attention.attention(
        c, "layer.1.EncDecAttention", normed_hidden_states, key_value_states, position_bias
    )
    layer_output = ops.add(c.tape, hidden_states, residual_dropout(c, attention_output), "hidden states")
    return layer_output, position_bias, attn_weights


def feed_forward(c: Context, hidden_states: Value) -> Value:
    """T5LayerFF.forward."""
    at = f"layer.{2 if c.structure.block.cross else 1}"
    forwarded_states = t5_layer_norm(c, hidden_states, f"{at}.layer_norm")
    dense = gated_dense if c.structure.block.gated else plain_dense
    forwarded_states = dense(c, forwarded_states, f"{at}.DenseReluDense")
    hidden_states = ops.add(c.tape, hidden_states, residual_dropout(c, forwarded_states), "hidden states")
    return hidden_states


def plain_dense(c: Context, hidden_states: Value, name: str) -> Value:
    """T5DenseActDense.forward; its input lives in the caller."""
    hidden_states = linear(c, hidden_states, f"{name}.wi", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = residual_dropout(c, hidden_states)
    hidden_states = ops.to(c.tape, hidden_states, c.hidden_dtype, "input of wo")
    hidden_states = linear(c, hidden_states, f"{name}.wo", HIDDEN, WIDE)
    return hidden_states


def gated_dense(c: Context, hidden_states: Value, name: str) -> Value:
    """T5DenseGatedActDense.forward."""
    hidden_gelu = gate(c, hidden_states, name)
    hidden_linear = linear(c, hidden_states, f"{name}.wi_1", WIDE, HIDDEN)
    hidden_states = ops.mul(c.tape, hidden_gelu, hidden_linear, "gated")
    hidden_states = residual_dropout(c, hidden_states)
    hidden_states = ops.to(c.tape, hidden_states, c.hidden_dtype, "input of wo")
    hidden_states = linear(c, hidden_states, f"{name}.wo", HIDDEN, WIDE)
    return hidden_states


def gate(c: Context, hidden_states: Value, name: str) -> Value:
    """``act(wi_0(x))``: the projection lives until the activation returns."""
    projected = linear(c, hidden_states, f"{name}.wi_0", WIDE, HIDDEN)
    return activation(c, projected)


def clamped(c: Context, hidden_states: Value) -> Value:
    """The clamp of infinite values in float16, whose bounds are tensors."""
    if hidden_states.dtype != "float16":
        return hidden_states
    return clamp(c.tape, hidden_states)


def clamp(t: Tape, x: Value) -> Value:
    """torch.clamp with tensors as bounds: saves its input; backward keeps gradients inside the bounds."""
    infinite = t.allocate(x.shape, x.dtype, "absolute"), t.allocate(x.shape, "bool", "infinite")
    del infinite

    def backward(grad: Value, saved: Value) -> ops.Grads:
        inside = [t.allocate(saved.shape, "bool", "inside bounds") for _ in range(3)]
        out = t.allocate(saved.shape, saved.dtype, "clamp grad")
        del inside
        return (out,)

    return t.op("clamped", x.shape, x.dtype, [x], backward, [x], contiguous=x.contiguous)


# -- around the layers -----------------------------------------------------------------------------------------------


def embed(c: Context) -> Value:
    """T5Stack.forward of the encoder up to the layers."""
    inputs_embeds = head.token_embedding(c)
    t5_attention.encoder_mask(c, saved=c.structure.train_base)
    c.model_locals.append(inputs_embeds)
    return dropout(c, inputs_embeds, c.structure.embedding_dropout)


def between(c: Context, hidden_states: Value) -> tuple[Value, Handed]:
    """The end of the encoder, labels shifted right, and the decoder up to its layers."""
    hidden_states = t5_layer_norm(c, hidden_states, "encoder.final_layer_norm")
    hidden_states = dropout(c, hidden_states, c.structure.embedding_dropout)
    c.leave_stack()
    c.start_stack()
    decoder_input_ids = c.tape.allocate(("B", "S"), "int64", "decoder input ids")
    c.model_locals.append(decoder_input_ids)
    inputs_embeds = head.token_embedding(c, ids=decoder_input_ids, leaf="decoder embeddings")
    head.causal_mask(c, padded=False)
    t5_attention.encoder_mask(c, saved=False)
    c.model_locals.append(inputs_embeds)
    return dropout(c, inputs_embeds, c.structure.embedding_dropout), {"encoder states": hidden_states}


BETWEEN = (between,)


def loss(c: Context, hidden_states: Value) -> Value:
    """The decoder's final norm, the head and the loss, whose logits are not cast; T5 1.0 scales before the head."""
    t, s = c.tape, c.structure
    hidden_states = t5_layer_norm(c, hidden_states, "decoder.final_layer_norm")
    hidden_states = dropout(c, hidden_states, s.embedding_dropout)
    c.leave_stack()
    if s.tied and s.family == "t5":
        hidden_states = ops.scale(t, hidden_states, "scaled")
    t.category = "logits"
    logits = head.lm_head(c, hidden_states)
    if not head.keeps_logits(c):
        return head.causal_lm_loss(c, logits)
    t.phase = "loss"
    return head.cross_entropy(c, logits, t.external(("B", "S"), "int64"))
