"""Nemotron-H: each layer is one part alone, Mamba 2, attention, an MLP or experts.

Defaults and shapes: transformers 5.24, models/nemotron_h.
"""

from collections.abc import Mapping

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Moe, Tensor
from planner.architecture.config import MAX_LAYERS, Config
from planner.architecture.experts import mixture, router
from planner.architecture.families.hybrid import full
from planner.architecture.parts import (
    Body,
    conv,
    embedding,
    grouped,
    heads_of,
    plain_mlp,
    projections,
    rms_norm,
    with_head,
)

LETTERS = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
OLD = {"mamba": "linear_attention", "attention": "full_attention"}
KINDS = (*LETTERS.values(), *OLD)


def layer_kinds(c: Config) -> list[str]:
    """layers_block_type, or the letters of hybrid_override_pattern; num_hidden_layers does not count."""
    listed, pattern = c.get("layers_block_type"), c.get("hybrid_override_pattern")
    if listed is not None:
        length = len(listed) if isinstance(listed, list | tuple) else 0
        kinds = c.kinds("layers_block_type", length, KINDS) or ()
        return [OLD.get(kind, kind) for kind in kinds]
    if pattern is None:
        return list(LETTERS.values())
    if not isinstance(pattern, str) or not pattern or len(pattern) > MAX_LAYERS or set(pattern) - set(LETTERS):
        c.refuse("hybrid_override_pattern", "must be a text of the letters M, E, * and -")
    return [LETTERS[letter] for letter in pattern]


def mamba2(c: Config) -> Block:
    """Mamba 2: one in_proj, heads with scalar A, D and dt_bias, a gated norm."""
    hidden, heads, head_dim = c.size("hidden_size"), c.size("mamba_num_heads"), c.size("mamba_head_dim")
    inner = heads * head_dim
    width = inner + 2 * c.size("n_groups") * c.size("ssm_state_size")
    bias = c.flag("use_bias")
    linears = (
        Linear("mixer.in_proj", inner + width + heads, hidden, bias),
        Linear("mixer.out_proj", hidden, inner, bias),
    )
    scalars = tuple(Tensor(f"mixer.{name}", (heads,)) for name in ("dt_bias", "A_log", "D"))
    tensors = scalars + conv("mixer.conv1d", (width, 1, c.size("conv_kernel")), c.flag("use_conv_bias"))
    return one_part(c, linears, tensors + rms_norm("mixer.norm", inner), dual(c, heads, head_dim))


def dual(c: Config, heads: int, head_dim: int) -> Attention:
    """B and C of a group are keys and queries as wide as the state; what a head takes in are its values."""
    groups, state, chunk_size = c.size("n_groups"), c.size("ssm_state_size"), c.size("chunk_size")
    return Attention("mamba", heads, groups, state, head_dim, position="none", chunk_size=chunk_size)


def experts(c: Config) -> Block:
    """Experts without a gate, at moe_latent_size where the config has one, and a shared expert."""
    hidden, shared, bias = c.size("hidden_size"), c.size("moe_shared_expert_intermediate_size"), c.flag("mlp_bias")
    latent = c.optional_size("moe_latent_size")
    moe = mixture(
        c,
        "n_routed_experts",
        "moe_intermediate_size",
        activation="mlp_hidden_act",
        gated=False,
        shared=shared,
    )
    count, inner, width = moe.num_experts, moe.intermediate_size, latent or hidden
    weights = (
        Tensor("mixer.experts.up_proj", (count, inner, width), "experts"),
        Tensor("mixer.experts.down_proj", (count, width, inner), "experts"),
    )
    linears = plain_mlp("mixer.shared_experts.up_proj", "mixer.shared_experts.down_proj", hidden, shared, bias)
    if latent:
        linears += plain_mlp("mixer.fc1_latent_proj", "mixer.fc2_latent_proj", hidden, latent, bias)
    return one_part(c, linears, router("mixer.gate", count, hidden, "float32") + weights, mlp=moe)


def one_part(
    c: Config,
    linears: tuple[Linear, ...],
    tensors: tuple[Tensor, ...] = (),
    attention: Attention | None = None,
    mlp: Mlp | Moe | None = None,
) -> Block:
    """One norm and one mixer: attention, mamba, MLP or experts."""
    norm = rms_norm("norm", c.size("hidden_size"))
    return Block("", (), linears, norm + tensors, attention, mlp, num_norms=1)


def layer(c: Config, kind: str) -> Block:
    if kind == "linear_attention":
        return mamba2(c)
    if kind == "moe":
        return experts(c)
    if kind == "full_attention":
        return one_part(c, projections("mixer", heads_of(c), False, False), attention=full(c))
    size = c.size("intermediate_size")
    linears = plain_mlp("mixer.up_proj", "mixer.down_proj", c.size("hidden_size"), size, c.flag("mlp_bias"))
    return one_part(c, linears, mlp=Mlp(size, False, c.text("mlp_hidden_act")))


def nemotron_h(given: Mapping[str, object]) -> Architecture:
    """The head is never tied: transformers 5.23 names no tied weights for the family."""
    defaults: dict[str, object] = {
        **{"vocab_size": 131072, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8},
        **{"head_dim": 128, "attention_dropout": 0.0, "intermediate_size": 21504, "mlp_hidden_act": "relu2"},
        **{"mlp_bias": False, "ssm_state_size": 128, "mamba_num_heads": 128, "mamba_head_dim": 64, "n_groups": 8},
        **{"conv_kernel": 4, "use_conv_bias": True, "use_bias": False, "n_routed_experts": 8},
        **{"moe_intermediate_size": 7688, "moe_shared_expert_intermediate_size": 7688, "moe_latent_size": None},
        **{"num_experts_per_tok": 2, "layers_block_type": None, "chunk_size": 128, "norm_topk_prob": True},
    }
    aliases = {
        **{"layer_types": "layers_block_type", "num_local_experts": "n_routed_experts"},
        **{"mamba_n_groups": "n_groups", "mamba_d_conv": "conv_kernel", "mamba_conv_bias": "use_conv_bias"},
        "mamba_chunk_size": "chunk_size",
    }
    c = Config(given, defaults, aliases)
    hidden, vocab = c.size("hidden_size"), c.size("vocab_size")
    kinds = layer_kinds(c)
    sparse = [i for i, kind in enumerate(kinds) if kind == "moe"]
    biases = (c.size("n_routed_experts"),)
    names = [f"model.layers.{i}.mixer.gate.e_score_correction_bias" for i in sparse]
    body = Body(
        blocks=grouped("model.layers", kinds, lambda kind: layer(c, kind)),
        tensors=embedding("model.embeddings", vocab, hidden) + rms_norm("model.norm_f", hidden),
        buffers=tuple(Tensor(name, biases, "router", "float32") for name in names),
    )
    return with_head(c, body, hidden=hidden, vocab=vocab, tied=False)


READERS = {"nemotron_h": nemotron_h}
