"""Routers that choose experts by groups (transformers 5.23 models/deepseek_v2, deepseek_v3 and glm4_moe).

Router logits are made in float32; what only decides which experts are chosen is alive until the router returns.
"""

from planner.memory import moe_ops, ops
from planner.memory.graph import Value
from planner.memory.linear_ops import dense
from planner.memory.live import Shape
from planner.memory.modules import Context
from planner.memory.moe_modules import GATE, PAIRS, router_weight

SCORES: Shape = ("B", "S", "experts")
GROUPS: Shape = ("B", "S", "expert_groups")
CHOSEN: Shape = ("B", "S", "chosen_groups")


def sigmoid_router(c: Context, hidden_states: Value, bias_dtype: str, name: str = GATE) -> tuple[Value, Value, Value]:
    """DeepseekV3TopkRouter.forward and Glm4MoeTopkRouter.forward; bias_dtype: of e_score_correction_bias."""
    t = c.tape
    router_logits = float32_logits(c, hidden_states, name)
    scores = ops.unary(t, router_logits, "sigmoid", saves_output=True)
    scores_for_choice = ops.add_constant(t, scores, "scores for choice", bias_dtype)
    best_two, _ = moe_ops.topk(t, scores_for_choice, (*GROUPS, 2))
    group_scores = moe_ops.sum_pairs(t, best_two, GROUPS)
    del best_two, _
    group_idx, group_mask, score_mask = chosen_groups(c, group_scores)
    scores_for_choice = masked(c, scores_for_choice, score_mask)
    topk_indices = moe_ops.topk(t, scores_for_choice, PAIRS)[1]
    topk_weights = moe_ops.gather_along(t, scores, topk_indices, PAIRS)
    if c.structure.block.norm_top_k:
        topk_weights = moe_ops.divide_in_place(t, topk_weights)
    topk_weights = ops.scale(t, topk_weights, "scaled routing weights")
    return router_logits, topk_weights, topk_indices


def softmax_router(c: Context, hidden_states: Value) -> tuple[Value, Value, Value]:
    """DeepseekV2TopkRouter.forward: all experts compete (greedy), or those of the chosen groups."""
    t = c.tape
    router_logits = float32_logits(c, hidden_states)
    scores = ops.softmax(t, router_logits, "float32")
    if c.structure.block.expert_groups:
        group_scores, _ = moe_ops.topk(t, scores, GROUPS)  # max(dim=-1), differentiated alike
        del _
        group_idx, group_mask, score_mask = chosen_groups(c, group_scores)
        scores = masked(c, scores, score_mask)
    topk_weights, topk_indices = moe_ops.topk(t, scores, PAIRS)
    topk_weights = ops.scale(t, topk_weights, "scaled routing weights")
    return router_logits, topk_weights, topk_indices


def float32_logits(c: Context, hidden_states: Value, name: str = GATE) -> Value:
    """``F.linear(hidden_states.type(float32), weight.type(float32))``, which autocast casts back."""
    t = c.tape
    return dense(
        t,
        ops.to(t, hidden_states, "float32", "router input"),
        ops.to(t, router_weight(c, name), "float32", "router weight"),
        None,
        ("experts",),
    )


def chosen_groups(c: Context, group_scores: Value) -> tuple[Value, Value, Value]:
    """Indices of the best groups, a mask of them, and the mask spread over experts: a view for a single group."""
    t = c.tape
    group_idx = moe_ops.topk(t, group_scores, CHOSEN)[1]
    group_mask = t.allocate(GROUPS, group_scores.dtype, "group mask")
    if not c.structure.block.expert_groups:
        return group_idx, group_mask, group_mask
    return group_idx, group_mask, t.allocate(SCORES, group_scores.dtype, "score mask")


def masked(c: Context, scores: Value, score_mask: Value) -> Value:
    """``scores.masked_fill(~score_mask.bool(), ...)``: saves the negated mask."""
    t = c.tape
    chosen = t.allocate(SCORES, "bool", "chosen experts")
    mask = t.allocate(SCORES, "bool", "other experts")
    del chosen

    def backward(grad: Value, mask: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "masked grad"),)

    return t.op("masked scores", scores.shape, scores.dtype, [scores], backward, [mask])
