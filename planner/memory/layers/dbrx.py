"""DBRX (transformers 5.23 models/dbrx): fused and clamped q, k and v, experts run one after the other.

Each expert gathers the tokens that chose it, so the sizes of its tensors follow the routing. Here every expert is
chosen and has the same share of the tokens, rounded up: the sum over experts is what a real step has.
"""

from planner.memory import head, linear_ops, moe_ops, ops
from planner.memory.expert_modules import ROWS, chosen_weights, index_add
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layernorm_modules import layer_norm, loss_of, residual_dropout
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES
from planner.memory.linear_ops import autocast
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotary
from planner.memory.moe_modules import PAIRS
from planner.memory.tape import Tape

EXPERT: Shape = ("intermediate", "hidden")
STACK: Shape = ("experts", *EXPERT)


def layer(c: Context, hidden_states: Value) -> Value:
    """DbrxBlock.forward."""
    resid_states, hidden_states = norm_attn_norm(c, hidden_states)
    hidden_states = ffn(c, hidden_states)
    hidden_states = residual_dropout(c, hidden_states)
    return ops.add(c.tape, resid_states, hidden_states, "hidden states")


def norm_attn_norm(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """DbrxNormAttentionNorm.forward."""
    residual_states = hidden_states
    hidden_states = layer_norm(c, hidden_states, "norm_attn_norm.norm_1")
    hidden_states, _ = attention(c, hidden_states)
    hidden_states = residual_dropout(c, hidden_states)
    hidden_states = ops.add(c.tape, hidden_states, residual_states, "hidden states")
    residual_states = hidden_states
    hidden_states = layer_norm(c, hidden_states, "norm_attn_norm.norm_2")
    return residual_states, hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """DbrxAttention.forward: slices of one clamped projection."""
    t = c.tape
    qkv_states = linear(c, hidden_states, "norm_attn_norm.attn.Wqkv", ("qkv_width",), HIDDEN)
    qkv_states = ops.clamp(t, qkv_states)
    parts = ops.split(t, qkv_states, [("B", "S", *QUERIES), ("B", "S", *KEYS), ("B", "S", *KEYS)])
    query_states = llama.heads(c, parts[0], QUERIES)
    key_states, value_states = llama.heads(c, parts[1], KEYS), llama.heads(c, parts[2], KEYS)
    del parts
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(t, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "norm_attn_norm.attn.out_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def ffn(c: Context, hidden_states: Value) -> Value:
    """DbrxFFN.forward."""
    router_logits = linear(c, hidden_states, "ffn.router.layer", ("experts",), HIDDEN)
    top_k_weights, top_k_index = route_tokens_to_experts(c, router_logits)
    return experts(c, hidden_states, top_k_index, top_k_weights)


def route_tokens_to_experts(c: Context, router_logits: Value) -> tuple[Value, Value]:
    """Softmax, the largest, divided by their norm."""
    t = c.tape
    router_logits = ops.softmax(t, router_logits)
    router_top_value, router_indices = moe_ops.topk(t, router_logits, PAIRS)
    router_top_value = divided_by_norm(t, router_top_value)
    return router_top_value, router_indices


def divided_by_norm(t: Tape, x: Value) -> Value:
    """``x / torch.norm(x, p=1, dim=-1, keepdim=True)``: saves both."""
    norm = t.allocate((*x.shape[:-1], 1), x.dtype, "norm")

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "div grad"),)

    return t.op("normed weights", x.shape, x.dtype, [x], backward, [norm, x])


def experts(c: Context, hidden_states: Value, top_k_index: Value, top_k_weights: Value) -> Value:
    """DbrxExperts.forward."""
    t = c.tape
    next_states = t.allocate(("B", "S", *HIDDEN), hidden_states.dtype, "experts' output")
    expert_mask = t.allocate(("B", "S", "top_k", "experts_and_none"), "int64", "expert mask")
    v1, w1, w2 = (before_uses(t, c.parameter(f"ffn.experts.mlp.{name}", STACK)) for name in ("v1", "w1", "w2"))
    for _ in range(c.structure.block.looped_experts):
        idx, token_idx = t.allocate(ROWS, "int64", "choices"), t.allocate(ROWS, "int64", "tokens")
        chosen = select(t, v1), select(t, w1), select(t, w2)
        states = glu(c, moe_ops.gather(t, hidden_states, token_idx, (*ROWS, *HIDDEN), "expert's tokens"), *chosen)
        weights = chosen_weights(t, top_k_weights, token_idx, idx)
        states = ops.mul(t, states, weights, "weighted output")
        next_states = index_add(t, next_states, token_idx, states)
        del weights, idx
    del expert_mask
    return next_states


def before_uses(t: Tape, weight: Value) -> Value:
    """A weight with many uses: their gradients are added up before it gets them."""

    def backward(grad: Value) -> ops.Grads:
        return (grad,)

    return t.op("view", weight.shape, weight.dtype, [weight], backward, view=weight)


def select(t: Tape, stack: Value) -> Value:
    """stack[expert]: a view; backward zeros of the whole stack, the gradient copied in."""

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(STACK, grad.dtype, "select grad"),)

    return t.op("view", EXPERT, stack.dtype, [stack], backward, view=stack)


def glu(c: Context, x: Value, expert_v1: Value, expert_w1: Value, expert_w2: Value) -> Value:
    """DbrxExpertGLU.forward."""
    t, wide = c.tape, (*ROWS, "intermediate")
    gate_proj = matmul(c, x, expert_w1, wide)
    up_proj = matmul(c, x, expert_v1, wide)
    gate_proj = ops.unary(t, gate_proj, "activation_fn")
    intermediate_states = ops.mul(t, gate_proj, up_proj, "act*up")
    down_proj = matmul(c, intermediate_states, expert_w2, (*ROWS, *HIDDEN))
    return down_proj


def matmul(c: Context, x: Value, weight: Value, shape: Shape) -> Value:
    """x.matmul(W) of two dimensions; autocast casts the weight's view anew each time."""
    t = c.tape
    if t.autocast:
        x, weight = autocast(t, x), autocast(t, weight)
    return linear_ops.matmul(t, x, weight, shape, batched=False)


def embed(c: Context) -> Value:
    """DbrxModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    head.causal_mask(c)
    head.rotary_tables(c)
    return embeddings


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return loss_of(c, layer_norm(c, hidden_states, "norm_f"))
