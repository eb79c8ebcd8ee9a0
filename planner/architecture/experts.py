"""Experts: stacks of weights that are parameters of their own, no Linear modules (transformers 5)."""

from typing import Literal

from planner.architecture.blocks import Linear, Moe, Tensor
from planner.architecture.config import Config
from planner.architecture.parts import gated_mlp


def stacks(prefix: str, count: int, hidden: int, inner: int, transposed: bool = False) -> tuple[Tensor, ...]:
    """gate_up_proj [E, 2 x inner, hidden] and down_proj [E, hidden, inner]; transposed in gpt_oss and llama4."""
    up, down = (2 * inner, hidden), (hidden, inner)
    if transposed:
        up, down = up[::-1], down[::-1]
    return (
        Tensor(f"{prefix}.gate_up_proj", (count, *up), "experts"),
        Tensor(f"{prefix}.down_proj", (count, *down), "experts"),
    )


def router(name: str, count: int, hidden: int, dtype: Literal["float32"] | None = None) -> tuple[Tensor, ...]:
    """A router that is a plain parameter."""
    return (Tensor(f"{name}.weight", (count, hidden), "router", dtype),)


def shared_mlp(prefix: str, hidden: int, inner: int) -> tuple[Linear, ...]:
    """The expert every token takes: ordinary linears."""
    return gated_mlp(prefix, hidden, inner)


def mixture(
    c: Config,
    num_experts: str,
    intermediate_size: str,
    *,
    top_k: str = "num_experts_per_tok",
    activation: str = "hidden_act",
    gated: bool = True,
    shared: int = 0,
) -> Moe:
    """Read the counts; no token can take more experts than there are."""
    count, per_token = c.size(num_experts), c.size(top_k)
    if per_token > count:
        c.refuse(top_k, f"must be at most {num_experts}={count}")
    return Moe(count, per_token, c.size(intermediate_size), gated, c.text(activation), shared)


def sparse_by_step(c: Config) -> tuple[bool, ...]:
    """qwen2_moe and its heirs: experts in each decoder_sparse_step-th layer that mlp_only_layers does not name."""
    step, dense = c.size("decoder_sparse_step"), set(c.integers("mlp_only_layers"))
    return tuple(i not in dense and (i + 1) % step == 0 for i in range(c.layers()))
