"""Gemma 4 on text (transformers 5.23 models/gemma4): heads of two widths, values normed too, experts beside the MLP.

E2B and E4B give each layer a small input of its own, and their later layers attend to an earlier layer's keys and
values. Left out of the latter: their gradients between the layers of the other kind, and that checkpoints hold them
(6 MiB of E2B at 2 x 1,024 tokens).
"""

from planner.memory import head, masks, moe_modules, moe_ops, ops, sharing
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import gemma2, llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, WIDE
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary
from planner.memory.moe_modules import PAIRS
from planner.memory.norms import power_rms_norm
from planner.memory.sharing import Handed
from planner.memory.structure import FULL, OWN_INPUTS, SLIDING

#: A layer's own input, and those of all layers.
SLIM: Shape = ("layer_input",)
ALL_SLIM: Shape = ("text_layers", "layer_input")


def given(c: Context) -> Handed:
    """What a layer gets beside the hidden states: the inputs of all layers, and an earlier layer's keys and values.

    Those come from a dict that checkpoints are handed as it is: under reentrant ones no gradient flows through them.
    """
    t, s = c.tape, c.structure
    values: Handed = {}
    if s.block.own_input:
        of_all: Shape = ("B", "S", *ALL_SLIM)
        values["layer inputs"] = sharing.given(t, "layer inputs", of_all, c.hidden_dtype, s.given_requires_grad)
    if s.block.earlier_keys:
        projected, wanted = t.autocast or c.hidden_dtype, s.checkpointing != "reentrant"
        heads: Shape = ("B", "kv_heads", "S", "head_dim")
        for name, dtype in (("keys", ops.promote(projected, c.hidden_dtype)), ("values", projected)):
            values[name] = sharing.given(t, name, heads, dtype, wanted)
    return values


def picked(c: Context, handed: Handed) -> Handed:
    """The loop over the layers: ``per_layer_inputs[:, :, i, :]``, outside of a layer's checkpoint."""
    own = ops.narrow(c.tape, handed["layer inputs"], ("B", "S", *SLIM))
    return {name: value for name, value in handed.items() if name != "layer inputs"} | {"layer input": own}


def layer(c: Context, hidden_states: Value, handed: Handed | None = None) -> Value | tuple[Value, Handed]:
    """Gemma4TextDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = power_rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, _ = attention(c, hidden_states, handed or {})
    hidden_states = power_rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    residual = hidden_states
    hidden_states = power_rms_norm(c, hidden_states, "pre_feedforward_layernorm")
    hidden_states = llama.gated_mlp(
        c, hidden_states, "mlp", ("shared_intermediate",) if c.structure.block.moe else WIDE
    )
    held: list[Value] = []
    if c.structure.block.moe:
        hidden_states = with_experts(c, hidden_states, residual, held)
    hidden_states = power_rms_norm(c, hidden_states, "post_feedforward_layernorm")
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    if c.structure.block.own_input and handed is not None:
        residual = hidden_states
        hidden_states = linear(c, hidden_states, "per_layer_input_gate", SLIM, HIDDEN)
        hidden_states = ops.unary(t, hidden_states, "act_fn")
        hidden_states = ops.mul(t, hidden_states, handed["layer input"], "act*input")
        hidden_states = linear(c, hidden_states, "per_layer_projection", HIDDEN, SLIM)
        hidden_states = power_rms_norm(c, hidden_states, "post_per_layer_input_norm")
        hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    hidden_states = ops.scale_in_place(t, hidden_states)
    return hidden_states if handed is None else (hidden_states, {})


def with_experts(c: Context, hidden_states: Value, residual: Value, held: list[Value]) -> Value:
    """The MLP's output and the experts', each normed. held: what names of the layer's forward hold to its end."""
    hidden_states_1 = power_rms_norm(c, hidden_states, "post_feedforward_layernorm_1")
    _, top_k_weights, top_k_index = router(c, residual)
    hidden_states_2 = power_rms_norm(c, residual, "pre_feedforward_layernorm_2")
    hidden_states_2 = moe_modules.experts(c, hidden_states_2, top_k_index, top_k_weights, module="experts")
    hidden_states_2 = power_rms_norm(c, hidden_states_2, "post_feedforward_layernorm_2")
    held += [hidden_states_1, hidden_states_2, _, top_k_weights, top_k_index]
    return ops.add(c.tape, hidden_states_1, hidden_states_2, "hidden states")


def router(c: Context, hidden_states: Value) -> tuple[Value, Value, Value]:
    """Gemma4TextRouter.forward: the chosen probabilities made to add up to one, then scaled for each expert."""
    t = c.tape
    hidden_states = power_rms_norm(c, hidden_states, "router.norm", scaled=False)
    hidden_states = ops.scale(
        t, ops.mul(t, hidden_states, c.parameter("router.scale", HIDDEN), "scaled"), "router input"
    )
    expert_scores = linear(c, hidden_states, "router.proj", ("experts",), HIDDEN)
    router_probabilities = ops.softmax(t, expert_scores, "float32")
    top_k_weights, top_k_index = moe_ops.topk(t, router_probabilities, PAIRS)
    top_k_weights = moe_ops.divide_in_place(t, top_k_weights)
    scales = c.parameter("router.per_expert_scale", ("experts",))
    top_k_weights = ops.mul(t, top_k_weights, moe_ops.gather_rows(t, scales, top_k_index), "scaled weights")
    return router_probabilities, top_k_weights, top_k_index


def attention(c: Context, hidden_states: Value, handed: Handed) -> tuple[Value, Value | None]:
    """Gemma4TextAttention.forward."""
    query_states = projected(c, hidden_states, "q", QUERIES)
    query_states = power_rms_norm(c, query_states, "self_attn.q_norm", ("head_dim",))
    query_states = rotary(c, query_states)
    query_states = llama.heads(c, query_states, QUERIES)
    if c.structure.block.earlier_keys:
        key_states, value_states = handed["keys"], handed["values"]
    else:
        key_states, value_states = keys_and_values(c, hidden_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def keys_and_values(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """Values are the keys before their norm where there is no v_proj."""
    key_states = projected(c, hidden_states, "k", KEYS)
    value_states = key_states if c.structure.block.keys_are_values else projected(c, hidden_states, "v", KEYS)
    key_states = power_rms_norm(c, key_states, "self_attn.k_norm", ("head_dim",))
    key_states = rotary(c, key_states)
    key_states = llama.heads(c, key_states, KEYS)
    value_states = power_rms_norm(c, value_states, "self_attn.v_norm", ("head_dim",), scaled=False)
    value_states = llama.heads(c, value_states, KEYS)
    return key_states, value_states


def projected(c: Context, hidden_states: Value, which: str, split: Shape) -> Value:
    """``q_proj(x).view(hidden_shape)``."""
    return ops.view(c.tape, linear(c, hidden_states, f"self_attn.{which}_proj", split, HIDDEN), ("B", "S", *split))


def embed(c: Context) -> Value | tuple[Value, Handed]:
    """Gemma4Model.forward and Gemma4TextModel.forward up to the layers."""
    embeddings = head.token_embedding(c, scaled=True)
    c.model_locals.append(embeddings)
    handed = {"layer inputs": layer_inputs(c, embeddings)} if c.structure.block.own_input else {}
    masks.full_and_sliding_masks(c, always=True)
    masks.tables_by_kind(c, widths={FULL: "full_rotary_dim", SLIDING: "sliding_rotary_dim"})
    return (embeddings, handed) if handed else embeddings


def layer_inputs(c: Context, embeddings: Value) -> Value:
    """get_per_layer_inputs and project_per_layer_inputs; the layers' graphs hold the sum, each a part of it."""
    t = c.tape
    per_layer_inputs = head.layer_embedding(c, ALL_SLIM)
    if c.structure.family == "gemma4":  # locals of the multimodal forward, the first of them without placeholders
        c.model_locals += [t.allocate(embeddings.shape, embeddings.dtype, "embeddings of text"), per_layer_inputs]
    projection = linear(c, embeddings, OWN_INPUTS, ALL_SLIM, HIDDEN)
    projection = ops.scale(t, projection, "scaled projection")
    projection = power_rms_norm(c, projection, "per_layer_projection_norm", SLIM)
    made = ops.scale(t, ops.add(t, projection, per_layer_inputs, "layer inputs"), "layer inputs")
    c.tables.append(made.detach())
    made.storage = None  # counted with the tables
    return made


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head, the cap on the logits and the loss."""
    hidden_states = power_rms_norm(c, hidden_states, "norm")
    return gemma2.capped_loss(c, hidden_states)
