"""Decoders of state-space layers, alone (mamba) or mixed with attention (jamba).

Defaults and shapes: transformers 5.23, models/{mamba, jamba}.
"""

from collections.abc import Mapping
from math import ceil

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Moe, Tensor
from planner.architecture.config import Config
from planner.architecture.experts import mixture, router, stacks
from planner.architecture.parts import (
    Body,
    conv,
    embedding,
    gated_mlp,
    grouped,
    heads_of,
    projections,
    rms_norm,
    with_head,
)


def full(c: Config) -> Attention:
    """Causal attention without positions: the state-space layers carry the order."""
    sizes = heads_of(c)
    return Attention(
        kind="full",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        position="none",
        dropout=c.share("attention_dropout"),
    )


def recurrent(heads: int, head_dim: int) -> Attention:
    return Attention("mamba", heads, heads, head_dim, head_dim, position="none")


def time_step_rank(c: Config, name: str) -> int:
    """ "auto" is a sixteenth of the hidden size, rounded up."""
    return ceil(c.size("hidden_size") / 16) if c.get(name) == "auto" else c.size(name)


def mamba_mixer(
    prefix: str, hidden: int, inner: int, state: int, rank: int, kernel: int, bias: bool, conv_bias: bool
) -> tuple[tuple[Linear, ...], tuple[Tensor, ...]]:
    """Mamba 1: in_proj, x_proj, dt_proj, out_proj, a depthwise convolution, A_log and D."""
    linears = (
        Linear(f"{prefix}.in_proj", 2 * inner, hidden, bias),
        Linear(f"{prefix}.x_proj", rank + 2 * state, inner),
        Linear(f"{prefix}.dt_proj", inner, rank, True),
        Linear(f"{prefix}.out_proj", hidden, inner, bias),
    )
    tensors = (Tensor(f"{prefix}.A_log", (inner, state)), Tensor(f"{prefix}.D", (inner,)))
    return linears, tensors + conv(f"{prefix}.conv1d", (inner, 1, kernel), conv_bias)


def mamba(given: Mapping[str, object]) -> Architecture:
    defaults: dict[str, object] = {
        **{"vocab_size": 50280, "hidden_size": 768, "state_size": 16, "num_hidden_layers": 32, "expand": 2},
        **{"conv_kernel": 4, "use_bias": False, "use_conv_bias": True, "time_step_rank": "auto"},
        **{"hidden_act": "silu", "tie_word_embeddings": True},
    }
    c = Config(given, defaults)
    hidden, vocab = c.size("hidden_size"), c.size("vocab_size")
    inner = c.size("expand") * hidden
    sizes = (inner, c.size("state_size"), time_step_rank(c, "time_step_rank"), c.size("conv_kernel"))
    linears, tensors = mamba_mixer("mixer", hidden, *sizes, c.flag("use_bias"), c.flag("use_conv_bias"))
    block = Block(
        prefix="",
        indices=(),
        linears=linears,
        tensors=rms_norm("norm", hidden) + tensors,
        attention=recurrent(1, inner),
        num_norms=1,
    )
    body = Body(
        blocks=grouped("backbone.layers", [0] * c.layers(), lambda _: block),
        tensors=embedding("backbone.embeddings", vocab, hidden) + rms_norm("backbone.norm_f", hidden),
    )
    return with_head(c, body, hidden=hidden, vocab=vocab, tied=c.flag("tie_word_embeddings"))


def jamba_mlp(c: Config, sparse: bool) -> tuple[tuple[Linear, ...], tuple[Tensor, ...], Mlp | Moe]:
    hidden, size = c.size("hidden_size"), c.size("intermediate_size")
    if not sparse:
        return gated_mlp("feed_forward", hidden, size), (), Mlp(size, True, c.text("hidden_act"))
    moe = mixture(c, "num_experts", "intermediate_size")
    experts = stacks("feed_forward.experts", moe.num_experts, hidden, size)
    return (), router("feed_forward.router", moe.num_experts, hidden) + experts, moe


def jamba_block(c: Config, attends: bool, sparse: bool) -> Block:
    """Attention in one of attn_layer_period layers, Mamba with normed dt, B and C in the others."""
    hidden = c.size("hidden_size")
    inner, state = c.size("mamba_expand") * hidden, c.size("mamba_d_state")
    rank = time_step_rank(c, "mamba_dt_rank")
    mlp_linears, mlp_tensors, mlp = jamba_mlp(c, sparse)
    tensors: tuple[Tensor, ...] = ()
    if attends:
        linears = projections("self_attn", heads_of(c), False, False)
    else:
        flags = (c.flag("mamba_proj_bias"), c.flag("mamba_conv_bias"))
        linears, tensors = mamba_mixer("mamba", hidden, inner, state, rank, c.size("mamba_d_conv"), *flags)
        norms = (("dt_layernorm", rank), ("b_layernorm", state), ("c_layernorm", state))
        tensors += tuple(t for name, size in norms for t in rms_norm(f"mamba.{name}", size))
    return Block(
        prefix="",
        indices=(),
        linears=linears + mlp_linears,
        tensors=tensors + mlp_tensors + rms_norm("input_layernorm", hidden) + rms_norm("pre_ff_layernorm", hidden),
        attention=full(c) if attends else recurrent(1, inner),
        mlp=mlp,
    )


def periodic(c: Config, which: str) -> list[bool]:
    """True at `offset` of each `period` layers."""
    period, offset = c.size(f"{which}_layer_period"), c.count(f"{which}_layer_offset")
    if offset >= period:
        c.refuse(f"{which}_layer_offset", f"must be less than {which}_layer_period={period}")
    return [i % period == offset for i in range(c.layers())]


def jamba(given: Mapping[str, object]) -> Architecture:
    defaults: dict[str, object] = {
        **{"vocab_size": 65536, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "attention_dropout": 0.0},
        **{"num_experts_per_tok": 2, "num_experts": 16, "expert_layer_period": 2, "expert_layer_offset": 1},
        **{"attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_d_conv": 4},
        **{"mamba_expand": 2, "mamba_dt_rank": "auto", "mamba_conv_bias": True, "mamba_proj_bias": False},
        "tie_word_embeddings": False,
    }
    c = Config(given, defaults, {"num_local_experts": "num_experts"})
    hidden, vocab = c.size("hidden_size"), c.size("vocab_size")
    several = c.size("num_experts") > 1
    kinds = [(at, sparse and several) for at, sparse in zip(periodic(c, "attn"), periodic(c, "expert"), strict=True)]
    body = Body(
        blocks=grouped("model.layers", kinds, lambda kind: jamba_block(c, *kind)),
        tensors=embedding("model.embed_tokens", vocab, hidden) + rms_norm("model.final_layernorm", hidden),
    )
    return with_head(c, body, hidden=hidden, vocab=vocab, tied=c.flag("tie_word_embeddings"))


READERS = {"mamba": mamba, "jamba": jamba}
