"""Dense decoders of Llama's shape. Defaults: the config classes of transformers 5.23."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from planner.architecture.blocks import Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Style, decoder, fused, plain
from planner.architecture.layouts import every, every_named, upper_windows, window, windowed, without_rope
from planner.architecture.parts import Heads, layer_norm, rms_norm


def defaults(vocab: int, hidden: int, intermediate: int, layers: int, heads: int, **others: object) -> dict[str, Any]:
    """Default fields of a family; those every family shares need not be repeated."""
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": None,
        "head_dim": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        **others,
    }


def head_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """qwen3, gemma3: one norm over head_dim for queries, one for keys."""
    return rms_norm("self_attn.q_norm", sizes.head_dim) + rms_norm("self_attn.k_norm", sizes.head_dim)


def whole_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """olmo2: norms over all query heads and over all key heads."""
    return rms_norm("self_attn.q_norm", sizes.q_size) + rms_norm("self_attn.k_norm", sizes.kv_size)


def phi_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    if not c.flag("qk_layernorm"):
        return ()
    size = sizes.hidden // sizes.heads
    return layer_norm("self_attn.q_layernorm", size) + layer_norm("self_attn.k_layernorm", size)


def stablelm_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """stablelm: a norm of its own for each head."""
    if not c.flag("qk_layernorm"):
        return ()
    counts = (("q", sizes.heads), ("k", sizes.kv_heads))
    names = [f"self_attn.{which}_layernorm.norms.{i}" for which, count in counts for i in range(count)]
    return tuple(Tensor(f"{name}.weight", (sizes.head_dim,), "norm") for name in names)


def cohere_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    if not c.flag("use_qk_norm"):
        return ()
    return (
        Tensor("self_attn.q_norm.weight", (sizes.heads, sizes.head_dim), "norm"),
        Tensor("self_attn.k_norm.weight", (sizes.kv_heads, sizes.head_dim), "norm"),
    )


def smollm3_layers(c: Config) -> Sequence[Layer]:
    """Each fourth layer has no rotary positions, and the sliding window where there is one."""
    size = window(c) if c.flag("use_sliding_window") else None
    rope = without_rope(c)
    types = c.kinds("layer_types", len(rope), ("full_attention", "sliding_attention"))
    slides = [kind == "sliding_attention" for kind in types] if types else [not has_rope for has_rope in rope]
    return [Layer(window=size if slide else None, rope=has_rope) for slide, has_rope in zip(slides, rope, strict=True)]


def cohere2_layers(c: Config) -> Sequence[Layer]:
    """Rotary positions in the layers with a sliding window only."""
    layers = every_named("sliding_window_pattern", 4)(c)
    return [layer._replace(rope=layer.window is not None) for layer in layers]


FOUR_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
ALL_BIAS: dict[str, Any] = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
LLAMA = Style(
    defaults=defaults(32000, 4096, 11008, 32, 32, mlp_bias=False, max_position_embeddings=2048),
    mlp_bias="mlp_bias",
    **ALL_BIAS,
)
GEMMA2: dict[str, Any] = {"norms": FOUR_NORMS, "norm_order": "both", "activation": "hidden_activation"}
GLM: dict[str, Any] = {"qkv_bias": "attention_bias", "partial_rotary": 0.5, "mlp": fused}
GLM_DEFAULTS = defaults(151552, 4096, 13696, 40, 32, num_key_value_heads=2, head_dim=128, attention_bias=True)
QWEN_WINDOWS: dict[str, Any] = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
QWEN2 = Style(
    defaults=defaults(151936, 4096, 22016, 32, 32, num_key_value_heads=32, **QWEN_WINDOWS),
    qkv_bias=True,
    layers=upper_windows,
)
QWEN3 = Style(
    defaults=defaults(151936, 4096, 22016, 32, 32, num_key_value_heads=32, head_dim=128, **QWEN_WINDOWS),
    qk_norm=head_norms,
    qk_norm_kind="head",
    layers=upper_windows,
    **ALL_BIAS,
)
MISTRAL = Style(
    defaults=defaults(32000, 4096, 14336, 32, 32, num_key_value_heads=8, sliding_window=4096), layers=windowed
)
GEMMA3 = Style(
    defaults=defaults(
        *(262208, 2304, 9216, 26, 8),
        num_key_value_heads=4,
        head_dim=256,
        hidden_activation="gelu_pytorch_tanh",
        sliding_window=4096,
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        tie_word_embeddings=True,
    ),
    qk_norm=head_norms,
    qk_norm_kind="head",
    layers=every_named("sliding_window_pattern", 6),
    rope_kinds=("full_attention_", "sliding_attention_"),
    scaled_embedding=True,
    softcap="attn_logit_softcapping",
    final_softcap="final_logit_softcapping",
    **GEMMA2,
    **ALL_BIAS,
)
OLMO2: dict[str, Any] = {
    "norms": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "norm_order": "post",
    "qk_norm": whole_norms,
    "qk_norm_kind": "whole",
}
COHERE: dict[str, Any] = {
    "norm": "layer",
    "norm_bias": False,
    "parallel": True,
}

STYLES: dict[str, Style] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "gemma": Style(
        defaults=defaults(
            *(256000, 3072, 24576, 28, 16),
            head_dim=256,
            hidden_act="gelu_pytorch_tanh",
            num_key_value_heads=16,
            tie_word_embeddings=True,
        ),
        scaled_embedding=True,
        **ALL_BIAS,
    ),
    "gemma2": Style(
        defaults=defaults(
            *(256000, 2304, 9216, 26, 8),
            num_key_value_heads=4,
            head_dim=256,
            hidden_activation="gelu_pytorch_tanh",
            sliding_window=4096,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
            tie_word_embeddings=True,
        ),
        layers=every(2),
        scaled_embedding=True,
        softcap="attn_logit_softcapping",
        final_softcap="final_logit_softcapping",
        **GEMMA2,
        **ALL_BIAS,
    ),
    "gemma3_text": GEMMA3,
    "phi": Style(
        defaults=defaults(
            *(51200, 2048, 8192, 24, 32), hidden_act="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, qk_layernorm=False
        ),
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=True,
        out="dense",
        qk_norm=phi_norms,
        qk_norm_kind="head",
        norm="layer",
        norms=("input_layernorm",),
        final_norm="final_layernorm",
        parallel=True,
        mlp=plain("mlp.fc1", "mlp.fc2"),
        partial_rotary=0.5,
        residual_dropout="resid_pdrop",
        embedding_dropout="embd_pdrop",
    ),
    "phi3": Style(
        defaults=defaults(32064, 3072, 8192, 32, 32, sliding_window=None, resid_pdrop=0.0, embd_pdrop=0.0),
        fused_qkv=True,
        mlp=fused,
        layers=windowed,
        partial_rotary=1.0,
        residual_dropout="resid_pdrop",
    ),
    "olmo": Style(defaults=defaults(50304, 4096, 11008, 32, 32), norm="layer", norm_weight=False, **ALL_BIAS),
    "olmo2": Style(defaults=defaults(50304, 4096, 11008, 32, 32), **OLMO2, **ALL_BIAS),
    "olmo3": Style(
        defaults=defaults(50304, 4096, 11008, 32, 32, sliding_window=4096),
        layers=every(4),
        rope_kinds=("full_attention_", "sliding_attention_"),
        **OLMO2,
        **ALL_BIAS,
    ),
    "granite": Style(defaults=defaults(32000, 4096, 11008, 32, 32, mlp_bias=False), mlp_bias="mlp_bias", **ALL_BIAS),
    "smollm3": Style(
        defaults=defaults(
            *(128256, 2048, 11008, 36, 16),
            num_key_value_heads=4,
            mlp_bias=False,
            use_sliding_window=False,
            sliding_window=None,
            no_rope_layer_interval=4,
            tie_word_embeddings=True,
        ),
        mlp_bias="mlp_bias",
        layers=smollm3_layers,
        **ALL_BIAS,
    ),
    "stablelm": Style(
        defaults=defaults(
            *(50304, 2560, 6912, 32, 32),
            num_key_value_heads=32,
            use_qkv_bias=False,
            qk_layernorm=False,
            use_parallel_residual=False,
            hidden_dropout=0.0,
        ),
        qkv_bias="use_qkv_bias",
        qk_norm=stablelm_norms,
        qk_norm_kind="head",
        norm="layer",
        parallel="use_parallel_residual",
        partial_rotary=0.25,
        residual_dropout="hidden_dropout",
    ),
    "starcoder2": Style(
        defaults=defaults(
            *(49152, 3072, 12288, 30, 24),
            num_key_value_heads=2,
            hidden_act="gelu_pytorch_tanh",
            use_bias=True,
            sliding_window=None,
            residual_dropout=0.0,
            embedding_dropout=0.0,
            tie_word_embeddings=True,
        ),
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        norm="layer",
        mlp=plain("mlp.c_fc", "mlp.c_proj"),
        layers=windowed,
        residual_dropout="residual_dropout",
        embedding_dropout="embedding_dropout",
    ),
    "cohere": Style(
        defaults=defaults(256000, 8192, 22528, 40, 64, use_qk_norm=False, tie_word_embeddings=True),
        norms=("input_layernorm",),
        qk_norm=cohere_norms,
        qk_norm_kind="head",
        **COHERE,
        **ALL_BIAS,
    ),
    "cohere2": Style(
        defaults=defaults(256000, 8192, 22528, 40, 64, sliding_window=4096, tie_word_embeddings=True),
        norms=("input_layernorm",),
        layers=cohere2_layers,
        **COHERE,
        **ALL_BIAS,
    ),
    "glm": Style(defaults=GLM_DEFAULTS, **GLM),
    "glm4": Style(
        defaults=GLM_DEFAULTS,
        norms=(
            "input_layernorm",
            "post_attention_layernorm",
            "post_self_attn_layernorm",
            "post_mlp_layernorm",
        ),
        norm_order="both",
        **GLM,
    ),
    "internlm2": Style(
        defaults=defaults(92544, 4096, 11008, 32, 32, mlp_bias=False),
        aliases={"bias": "attention_bias"},
        **ALL_BIAS,
    ),
    "internlm3": Style(
        defaults=defaults(128512, 4096, 10240, 48, 32, num_key_value_heads=2, head_dim=128, mlp_bias=False),
        aliases={"qkv_bias": "attention_bias", "bias": "mlp_bias"},
        mlp_bias="mlp_bias",
        **ALL_BIAS,
    ),
}

READERS = {name: partial(decoder, style=style) for name, style in STYLES.items()}
