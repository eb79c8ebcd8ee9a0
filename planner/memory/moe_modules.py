"""Mixtures of experts on a tape: router, grouped matrix products over stacks of experts, PEFT's adapters of both.

transformers 5.23 runs experts by grouped_mm on every device (modeling_utils.get_correct_experts_implementation): each
token is copied once for each of its experts and sorted by expert, so no size depends on the routing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from planner.memory import expert_modules, linear_ops, moe_ops, ops
from planner.memory.graph import Value
from planner.memory.linear_ops import autocast, dense
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

HIDDEN: Shape = ("hidden",)
PAIRS: Shape = ("B", "S", "top_k")
GATE = "mlp.gate.weight"
Stack = Callable[[], Value]
Gate = Callable[[Context, Value], Value]


# -- router ----------------------------------------------------------------------------------------------------------


def router(
    c: Context, hidden_states: Value, norm: bool, keep_dtype: bool, name: str = GATE
) -> tuple[Value, Value, Value]:
    """MixtralTopKRouter.forward and Qwen3MoeTopKRouter.forward, in PEFT's ParamWrapper where the router is adapted.

    norm: the chosen probabilities are made to add up to one; keep_dtype: they take the logits' dtype. Where experts are
    modules, the router is a linear.
    """
    t = c.tape
    if c.structure.block.looped_experts:
        router_logits = linear(c, hidden_states, name, ("experts",), HIDDEN)
    else:
        router_logits = dense(t, hidden_states, router_weight(c, name), None, ("experts",))
    router_probs = ops.softmax(t, router_logits, "float32")
    router_top_value, router_indices = moe_ops.topk(t, router_probs, PAIRS)
    if norm:
        router_top_value = moe_ops.divide_in_place(t, router_top_value)
    if keep_dtype:
        router_top_value = ops.to(t, router_top_value, router_logits.dtype)
    return router_logits, router_top_value, router_indices


def router_weight(c: Context, name: str = GATE) -> Value:
    """The router's weight; with an adapter the sum of it and the product of the factors (Linear.get_delta_weight)."""
    t, s = c.tape, c.structure
    shape: Shape = ("experts", *HIDDEN)
    weight = c.parameter(name, shape, dtype="float32" if s.block.float32_router else None)
    if name not in s.adapted:
        return weight
    dtype = "float32" if s.block.float32_router else s.stack_adapter_dtype
    a = c.parameter(f"{name}.lora_A", ("r", *HIDDEN), True, dtype)
    b = c.parameter(f"{name}.lora_B", ("experts", "r"), True, dtype)
    if t.autocast:
        a, b = autocast(t, a), autocast(t, b)
    delta = ops.scale(t, linear_ops.matmul(t, b, a, shape, "router delta", batched=False), "router delta")
    return ops.add(t, ops.to(t, delta, weight.dtype), weight, "router weight")


# -- experts ---------------------------------------------------------------------------------------------------------


def apply_gate(c: Context, gate_up_out: Value) -> Value:
    """_default_apply_gate."""
    t = c.tape
    half = (*PAIRS, "intermediate")
    gate, up = ops.split(t, gate_up_out, [half, half])
    return ops.mul(t, ops.unary(t, gate, "act_fn"), up, "act*up")


def experts(
    c: Context,
    hidden_states: Value,
    top_k_index: Value,
    top_k_weights: Value,
    gate: Gate = apply_gate,
    biased: bool = False,
    module: str = "mlp.experts",
) -> Value:
    """The experts' module, in PEFT's ParamWrappers where stacks are adapted: that of down_proj is the outer one.

    gate: its _apply_gate. biased: both products have a bias for each expert. Where experts are modules of linears, as
    in transformers 4, they run one after the other.
    """
    if c.structure.block.looped_experts:
        return expert_modules.experts(c, hidden_states, top_k_index, top_k_weights, module)
    down_proj = stack(c, f"{module}.down_proj", HIDDEN, ("intermediate",), 1)
    gate_up_proj = stack(c, f"{module}.gate_up_proj", (2, "intermediate"), HIDDEN, 2)
    stacks = (gate_up_proj, down_proj)
    biases: tuple[Value, ...] = ()
    if biased:
        biases = (
            c.parameter(f"{module}.gate_up_proj_bias", ("experts", 2, "intermediate")),
            c.parameter(f"{module}.down_proj_bias", ("experts", *HIDDEN)),
        )
    return grouped_mm_experts_forward(c, hidden_states, top_k_index, top_k_weights, stacks, gate, biases)


def ungated_experts(
    c: Context, hidden_states: Value, top_k_index: Value, top_k_weights: Value, act_fn: Gate, module: str
) -> Value:
    """The same of experts without a gate (has_gate=False): up_proj alone, then the activation."""
    down_proj = stack(c, f"{module}.down_proj", HIDDEN, ("intermediate",), 1)
    up_proj = stack(c, f"{module}.up_proj", ("intermediate",), HIDDEN, 1)
    up: Shape = ("intermediate",)
    return grouped_mm_experts_forward(c, hidden_states, top_k_index, top_k_weights, (up_proj, down_proj), act_fn, up=up)


def stack(c: Context, name: str, out: Shape, inner: Shape, linears: int) -> Stack:
    """A stack of experts [experts, out, in] as the module's attribute gives it; `linears` of old are fused in it."""
    weight = c.parameter(name, ("experts", *out, *inner))
    if name not in c.structure.adapted:
        return lambda: weight
    lhs, rhs = delta_factors(c, name, out, inner, weight.dtype, linears)
    proxy = Parametrized(c, name, weight, lhs, rhs)
    proxy.folded()  # ParametrizationList.__init__ evaluates it once to check dtype and shape
    return proxy


def delta_factors(c: Context, name: str, out: Shape, inner: Shape, dtype: str, linears: int) -> tuple[Value, Value]:
    """ParamWrapper.get_delta_factors: B and A as batches over experts, in the stack's dtype."""
    t, adapter = c.tape, c.structure.stack_adapter_dtype
    rank: Shape = (linears, "r")
    weight_a = c.parameter(f"{name}.lora_A", ("experts", *rank, *inner), True, adapter)
    weight_b = c.parameter(f"{name}.lora_B", (*out, *rank, "experts"), True, adapter)
    weight_a = ops.view(t, weight_a, ("experts", *rank, *inner))
    weight_b = moe_ops.permute(t, weight_b, ("experts", *out, *rank))
    return ops.to(t, weight_b, dtype, "lora_B"), ops.to(t, weight_a, dtype, "lora_A")


@dataclass(slots=True)
class Parametrized:
    """A parametrized stack under nn.utils.parametrize.cached(): made at first use, then kept by the cache."""

    c: Context
    name: str
    weight: Value
    lhs: Value
    rhs: Value
    cached: Value | None = None

    def __call__(self) -> Value:
        if self.cached is None:
            self.cached = self.folded()
        return self.cached

    def folded(self) -> Value:
        """_LoraFactorsProxy.forward: W + scaling * lhs @ rhs."""
        return moe_ops.baddbmm(self.c.tape, self.weight, self.lhs, self.rhs, f"{self.name}: adapted weight")


def grouped_mm_experts_forward(
    c: Context,
    hidden_states: Value,
    top_k_index: Value,
    top_k_weights: Value,
    stacks: tuple[Stack, Stack],
    gate: Gate,
    biases: tuple[Value, ...] = (),
    up: Shape = (2, "intermediate"),
) -> Value:
    """grouped_mm_experts_forward (transformers 5.23 integrations/moe.py); up: what the first product makes."""
    t = c.tape
    sample_weights = top_k_weights
    expert_ids_g, perm = t.allocate(PAIRS, "int64", "sorted experts"), t.allocate(PAIRS, "int64", "order")
    selected_hidden_states_g = moe_ops.gather(
        t, hidden_states, t.allocate(PAIRS, "int64", "token of each copy"), (*PAIRS, *HIDDEN), "tokens by expert"
    )
    sample_weights_g = moe_ops.gather(t, sample_weights, perm, PAIRS, "routing weights by expert")
    histc_input = t.allocate(PAIRS, "float32", "sorted experts")  # on CUDA int32
    gate_up_proj, down_proj = stacks
    selected_weights = gate_up_proj()
    selected_biases = moe_ops.gather_rows(t, biases[0], expert_ids_g) if biases else None
    proj_out = moe_ops.grouped_mm(t, selected_hidden_states_g, selected_weights, (*PAIRS, *up))
    proj_out = moe_ops.add_in_place(t, proj_out, selected_biases)
    proj_out = gate(c, proj_out)
    selected_weights = down_proj()
    selected_biases = moe_ops.gather_rows(t, biases[1], expert_ids_g) if biases else None
    proj_out = moe_ops.grouped_mm(t, proj_out, selected_weights, (*PAIRS, *HIDDEN))
    proj_out = moe_ops.add_in_place(t, proj_out, selected_biases)
    weighted_out = ops.mul(t, proj_out, sample_weights_g, "weighted output")
    inv_perm = t.allocate(PAIRS, "int64", "order back")
    t.allocate(PAIRS, "int64", "arange")
    weighted_out = moe_ops.gather(t, weighted_out, inv_perm, (*PAIRS, *HIDDEN), "output by token")
    final_hidden_states = moe_ops.sum_pairs(t, weighted_out, ("B", "S", *HIDDEN))
    out = ops.to(t, final_hidden_states, hidden_states.dtype, "experts' output")
    del expert_ids_g, histc_input, selected_biases
    return out
