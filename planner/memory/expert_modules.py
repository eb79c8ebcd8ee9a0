"""Experts that are modules of linears, run one after the other, as in transformers 4 (and in GPTQ checkpoints of it).

Each expert gathers the tokens that chose it, so the sizes of its tensors follow the routing. Here every expert is
chosen and has the same share of the tokens, rounded up: the sum over experts is what a real step has.
"""

from planner.memory import moe_ops, ops
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.tape import Tape

HIDDEN: Shape = ("hidden",)
INNER: Shape = ("intermediate",)
#: Tokens of one expert.
ROWS: Shape = ("B", "S", "top_k", "per_expert")


def experts(
    c: Context, hidden_states: Value, selected_experts: Value, routing_weights: Value, module: str = "mlp.experts"
) -> Value:
    """The loop of MixtralSparseMoeBlock.forward and its like (transformers 4.45 models/mixtral, qwen2_moe, olmoe)."""
    t = c.tape
    routing_weights = ops.to(t, routing_weights, hidden_states.dtype, "routing weights")
    final_hidden_states = t.allocate(("B", "S", *HIDDEN), hidden_states.dtype, "experts' output")
    expert_mask = t.allocate((*selected_experts.shape, "experts"), "int64", "expert mask")
    for expert in range(c.structure.block.looped_experts):
        idx, top_x = t.allocate(ROWS, "int64", "choices"), t.allocate(ROWS, "int64", "tokens")
        current_state = moe_ops.gather(t, hidden_states, top_x, (*ROWS, *HIDDEN), "expert's tokens")
        current_hidden_states = gated_expert(c, current_state, module, expert)
        chosen = chosen_weights(t, routing_weights, top_x, idx)
        current_hidden_states = ops.mul(
            t, current_hidden_states, chosen, "weighted output", current_hidden_states.shape
        )
        current_hidden_states = ops.to(t, current_hidden_states, hidden_states.dtype, "weighted output")
        final_hidden_states = index_add(t, final_hidden_states, top_x, current_hidden_states)
        del chosen, idx
    del expert_mask
    return final_hidden_states


def gated_expert(c: Context, x: Value, module: str, expert: int) -> Value:
    """MixtralBlockSparseTop2MLP.forward: ``w2(act_fn(w1(x)) * w3(x))``."""
    t = c.tape
    gate = ops.unary(t, expert_linear(c, x, f"{module}.gate_up_proj", f"{expert}.w1", INNER, HIDDEN), "act_fn")
    up = expert_linear(c, x, f"{module}.gate_up_proj", f"{expert}.w3", INNER, HIDDEN)
    current_hidden_states = ops.mul(t, gate, up, "act*up")
    return expert_linear(c, current_hidden_states, f"{module}.down_proj", f"{expert}.w2", HIDDEN, INNER)


def expert_linear(c: Context, x: Value, stack: str, own: str, out: Shape, inner: Shape) -> Value:
    """One expert's linear: quantized and adapted as all of its stack, with tensors of its own."""
    c.part = f".{own}"
    try:
        return linear(c, x, stack, out, inner)
    finally:
        c.part = ""


def chosen_weights(t: Tape, weights: Value, token_idx: Value, idx: Value) -> Value:
    """``weights[token_idx, idx, None]``: saves both indices; backward puts the gradient into zeros."""
    before = weights.shape

    def backward(grad: Value, *indices: Value) -> ops.Grads:
        return (t.allocate(before, grad.dtype, "index grad"),)

    return t.op("expert's weights", (*ROWS, 1), weights.dtype, [weights], backward, [token_idx, idx])


def index_add(t: Tape, x: Value, index: Value, source: Value) -> Value:
    """``x.index_add_(0, index, source)``: saves both; backward selects the rows of the source's gradient."""
    rows = source.shape

    def backward(grad: Value, index: Value, source: Value) -> ops.Grads:
        return (ops.same(grad), t.allocate(rows, source.dtype, "selected grad"))

    saves, moved = [index, source], whole(source, source, source)
    return t.op(
        "experts' output", x.shape, x.dtype, [x, source], backward, saves, view=x, kind="elementwise", moved=moved
    )
