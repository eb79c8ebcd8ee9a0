"""Decoders of Llama's shape with experts. Defaults and shapes: transformers 5.23, models/<model_type>."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from planner.architecture.blocks import Linear, Moe, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Part, Style, decoder, gated
from planner.architecture.experts import mixture, router, shared_mlp, sparse_by_step, stacks
from planner.architecture.families.shared import ALL_BIAS, QWEN_WINDOWS, defaults, head_norms
from planner.architecture.layouts import alternating, every, typed, window, windowed
from planner.architecture.parts import Heads, rms_norm

Buffers = Callable[[Config, str, Sequence[Layer]], tuple[Tensor, ...]]


def mixtral_mlp(c: Config, style: Style, layer: Layer) -> Part:
    hidden, moe = c.size("hidden_size"), mixture(c, "num_local_experts", "intermediate_size")
    experts = stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size)
    return Part((), router("mlp.gate", moe.num_experts, hidden) + experts, moe)


def phimoe_mlp(c: Config, style: Style, layer: Layer) -> Part:
    """The router is a subclass of nn.Linear."""
    hidden, moe = c.size("hidden_size"), mixture(c, "num_local_experts", "intermediate_size")
    routing = Linear("mlp.router", moe.num_experts, hidden, cls="subclass")
    return Part((routing,), stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size), moe)


def olmoe_mlp(c: Config, style: Style, layer: Layer) -> Part:
    hidden, moe = c.size("hidden_size"), mixture(c, "num_experts", "intermediate_size")
    experts = stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size)
    return Part((), router("mlp.gate", moe.num_experts, hidden) + experts, moe)


def qwen3_moe_mlp(c: Config, style: Style, layer: Layer) -> Part:
    if not layer.sparse:
        return gated(c, style, layer)
    hidden, moe = c.size("hidden_size"), mixture(c, "num_experts", "moe_intermediate_size")
    experts = stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size)
    return Part((), router("mlp.gate", moe.num_experts, hidden) + experts, moe)


def qwen2_moe_mlp(c: Config, style: Style, layer: Layer) -> Part:
    """Experts, and one expert for every token behind a gate of its own."""
    if not layer.sparse:
        return gated(c, style, layer)
    hidden, shared = c.size("hidden_size"), c.size("shared_expert_intermediate_size")
    moe = mixture(c, "num_experts", "moe_intermediate_size", shared=shared)
    linears = (*shared_mlp("mlp.shared_expert", hidden, shared), Linear("mlp.shared_expert_gate", 1, hidden))
    experts = stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size)
    return Part(linears, router("mlp.gate", moe.num_experts, hidden) + experts, moe)


def gpt_oss_mlp(c: Config, style: Style, layer: Layer) -> Part:
    """Router and experts have biases; expert weights are stored [in, out]."""
    hidden, moe = c.size("hidden_size"), mixture(c, "num_local_experts", "intermediate_size")
    count, inner = moe.num_experts, moe.intermediate_size
    biases = (
        Tensor("mlp.router.bias", (count,), "router"),
        Tensor("mlp.experts.gate_up_proj_bias", (count, 2 * inner), "experts"),
        Tensor("mlp.experts.down_proj_bias", (count, hidden), "experts"),
    )
    experts = stacks("mlp.experts", count, hidden, inner, transposed=True)
    return Part((), router("mlp.router", count, hidden) + experts + biases, moe)


def routed_with_shared(c: Config, style: Style, layer: Layer) -> Part:
    """deepseek, glm4_moe: shared_experts are one MLP, n_shared_experts times as wide as an expert."""
    if not layer.sparse:
        return gated(c, style, layer)
    hidden, shared = c.size("hidden_size"), c.size("n_shared_experts") * c.size("moe_intermediate_size")
    moe = in_groups(c, mixture(c, "n_routed_experts", "moe_intermediate_size", shared=shared))
    experts = stacks("mlp.experts", moe.num_experts, hidden, moe.intermediate_size)
    linears = shared_mlp("mlp.shared_experts", hidden, shared)
    return Part(linears, router("mlp.gate", moe.num_experts, hidden, "float32") + experts, moe)


def in_groups(c: Config, moe: Moe) -> Moe:
    """Groups of experts; deepseek_v2 ignores them where its topk_method is greedy.

    Raises RequestError for groups that experts cannot be divided into, or too few of them.
    """
    if c.get("topk_method") == "greedy" or not c.get("n_group"):
        return moe
    groups, chosen = c.size("n_group"), c.size("topk_group")
    if moe.num_experts % groups:
        c.refuse("n_group", f"must divide n_routed_experts={moe.num_experts}")
    if chosen > groups:
        c.refuse("topk_group", f"must be at most n_group={groups}")
    return moe._replace(num_groups=groups, num_chosen_groups=chosen)


def dense_first(c: Config) -> Sequence[Layer]:
    """The first first_k_dense_replace layers have an MLP, the others experts."""
    first = c.count("first_k_dense_replace")
    return [Layer(sparse=i >= first) for i in range(c.layers())]


def correction_biases(name: str) -> Buffers:
    """A buffer beside each router: e_score_correction_bias, one float32 number an expert."""

    def buffers(c: Config, root: str, layers: Sequence[Layer]) -> tuple[Tensor, ...]:
        shape = (c.size("n_routed_experts"),)
        at = [i for i, layer in enumerate(layers) if layer.sparse]
        names = [f"{root}.layers.{i}.{name}.e_score_correction_bias" for i in at]
        return tuple(Tensor(name, shape, "router", "float32") for name in names)

    return buffers


def stepped_layers(c: Config) -> Sequence[Layer]:
    return [Layer(sparse=sparse) for sparse in sparse_by_step(c)]


def qwen3_moe_layers(c: Config) -> Sequence[Layer]:
    size = window(c) if c.flag("use_sliding_window") else None
    return [Layer(window=size, sparse=sparse) for sparse in sparse_by_step(c)]


def qwen2_moe_layers(c: Config) -> Sequence[Layer]:
    """Windows in each second of the first max_window_layers layers, where use_sliding_window is set."""
    size = window(c) if c.flag("use_sliding_window") else None
    last = c.count("max_window_layers")
    layers = typed(c, lambda i: alternating(i, 2) if size and i < last else "full_attention", size)
    return [layer._replace(sparse=sparse) for layer, sparse in zip(layers, sparse_by_step(c), strict=True)]


def all_sparse(c: Config) -> Sequence[Layer]:
    return [layer._replace(sparse=True) for layer in windowed(c)]


def olmoe_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """Widths by hidden_size, whatever head_dim says."""
    width = sizes.hidden // sizes.heads
    return rms_norm("self_attn.q_norm", sizes.hidden) + rms_norm("self_attn.k_norm", width * sizes.kv_heads)


def glm4_moe_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    return head_norms(c, sizes) if c.flag("use_qk_norm") else ()


def sinks(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    return (Tensor("self_attn.sinks", (sizes.heads,), "other"),)


STEPS: dict[str, Any] = {"decoder_sparse_step": 1, "mlp_only_layers": None}
QWEN3_MOE = Style(
    defaults=defaults(
        *(151936, 2048, 6144, 24, 32),
        num_key_value_heads=4,
        use_sliding_window=False,
        sliding_window=4096,
        moe_intermediate_size=768,
        num_experts=128,
        num_experts_per_tok=8,
        **STEPS,
    ),
    aliases={"num_local_experts": "num_experts"},
    qk_norm=head_norms,
    qk_norm_kind="head",
    layers=qwen3_moe_layers,
    mlp=qwen3_moe_mlp,
    **ALL_BIAS,
)

STYLES: dict[str, Style] = {
    "qwen3_moe": QWEN3_MOE,
    "mixtral": Style(
        defaults=defaults(
            *(32000, 4096, 14336, 32, 32),
            num_key_value_heads=8,
            sliding_window=None,
            num_local_experts=8,
            num_experts_per_tok=2,
        ),
        aliases={"num_experts": "num_local_experts"},
        layers=all_sparse,
        mlp=mixtral_mlp,
    ),
    "phimoe": Style(
        defaults=defaults(
            *(32064, 4096, 6400, 32, 32),
            num_key_value_heads=8,
            sliding_window=None,
            num_local_experts=16,
            num_experts_per_tok=2,
            lm_head_bias=False,
        ),
        norm="layer",
        head_bias="lm_head_bias",
        layers=all_sparse,
        mlp=phimoe_mlp,
        **ALL_BIAS,
    ),
    "olmoe": Style(
        defaults=defaults(50304, 2048, 2048, 16, 16, num_experts=64, num_experts_per_tok=8),
        aliases={"num_local_experts": "num_experts"},
        qk_norm=olmoe_norms,
        qk_norm_kind="whole",
        layers=all_sparse,
        mlp=olmoe_mlp,
        **ALL_BIAS,
    ),
    "qwen2_moe": Style(
        defaults=defaults(
            *(151936, 2048, 5632, 24, 16),
            num_key_value_heads=16,
            qkv_bias=True,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
            num_experts=60,
            num_experts_per_tok=4,
            **STEPS,
            **QWEN_WINDOWS,
        ),
        qkv_bias="qkv_bias",
        layers=qwen2_moe_layers,
        mlp=qwen2_moe_mlp,
    ),
    "gpt_oss": Style(
        defaults=defaults(
            *(201088, 2880, 2880, 36, 64),
            num_key_value_heads=8,
            head_dim=64,
            sliding_window=128,
            attention_bias=True,
            num_local_experts=128,
            num_experts_per_tok=4,
        ),
        aliases={"num_experts": "num_local_experts"},
        extra=sinks,
        layers=every(2),
        mlp=gpt_oss_mlp,
        **ALL_BIAS,
    ),
    "glm4_moe": Style(
        defaults=defaults(
            *(151552, 4096, 10944, 46, 96),
            num_key_value_heads=8,
            moe_intermediate_size=1408,
            n_shared_experts=1,
            n_routed_experts=128,
            num_experts_per_tok=8,
            first_k_dense_replace=1,
            use_qk_norm=False,
            norm_topk_prob=True,
            n_group=1,
            topk_group=1,
        ),
        aliases={"num_local_experts": "n_routed_experts"},
        qkv_bias="attention_bias",
        qk_norm=glm4_moe_norms,
        qk_norm_kind="head",
        partial_rotary=0.5,
        layers=dense_first,
        mlp=routed_with_shared,
        buffers=correction_biases("mlp.gate"),
    ),
}

READERS = {name: partial(decoder, style=style) for name, style in STYLES.items()}
