"""Nemotron-H (transformers 5.23 models/nemotron_h): each layer a norm and Mamba 2, attention, an MLP or experts."""

from planner.memory import head, masks, moe_modules, moe_routers, ops, state_space_dual
from planner.memory.graph import Value
from planner.memory.layers import jamba
from planner.memory.layers.parts import HIDDEN, WIDE
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.structure import FULL


def layer(c: Context, hidden_states: Value) -> Value:
    """NemotronHBlock.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = norm(c, ops.to(t, hidden_states, c.hidden_dtype), "norm")
    hidden_states = mixed(c, hidden_states)
    hidden_states = ops.add(t, residual, hidden_states, "hidden states")
    return hidden_states


def norm(c: Context, x: Value, name: str) -> Value:
    """NemotronHRMSNorm.forward: a float32 copy of the weight applied in float32."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.parameter(f"{name}.weight", HIDDEN)
    hidden_states = ops.to(t, x, "float32")
    variance = ops.mean_last(t, ops.square(t, hidden_states))
    hidden_states = ops.mul(t, hidden_states, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    weight = ops.to(t, weight, "float32", "weight")
    out = ops.to(t, ops.mul(t, weight, hidden_states, "normalized and scaled", hidden_states.shape), x.dtype)
    t.scope = before
    return out


def mixed(c: Context, hidden_states: Value) -> Value:
    """The layer's mixer."""
    block = c.structure.block
    if block.mixer == "mamba":
        return state_space_dual.mixer(c, hidden_states, "mixer")
    if block.mixer == "attention":
        attn_output, _ = jamba.attention(c, hidden_states, "mixer")
        return attn_output
    return moe(c, hidden_states) if block.moe else mlp(c, hidden_states, "mixer", WIDE)


def mlp(c: Context, x: Value, name: str, width: Shape) -> Value:
    """NemotronHMLP.forward."""
    return linear(c, relu2(c, linear(c, x, f"{name}.up_proj", width, HIDDEN)), f"{name}.down_proj", HIDDEN, width)


def relu2(c: Context, x: Value) -> Value:
    """ReLUSquaredActivation.forward."""
    t = c.tape
    relu_applied = ops.unary(t, x, "relu", saves_output=True)
    squared = ops.square(t, relu_applied)
    return squared


def moe(c: Context, hidden_states: Value) -> Value:
    """NemotronHMoE.forward without a latent projection."""
    residuals = hidden_states
    _, topk_weights, topk_indices = moe_routers.sigmoid_router(c, hidden_states, "float32", "mixer.gate.weight")
    hidden_states = moe_modules.ungated_experts(c, hidden_states, topk_indices, topk_weights, relu2, "mixer.experts")
    shared = mlp(c, residuals, "mixer.shared_experts", ("shared_intermediate",))
    hidden_states = ops.add(c.tape, hidden_states, shared, "experts' output")
    return hidden_states


def embed(c: Context) -> Value:
    """NemotronHModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c, "embeddings.weight")
    c.model_locals.append(inputs_embeds)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    with masks.for_layers(c, FULL):
        head.causal_mask(c)
    return inputs_embeds


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    hidden_states = norm(c, hidden_states, "norm_f")
    c.tape.category = "logits"
    return head.causal_lm_loss(c, head.lm_head(c, hidden_states))
