"""Dense decoders of Llama's shape. Defaults: the config classes of transformers 5.23."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Style, decoder
from planner.architecture.families.shared import ALL_BIAS, QWEN_WINDOWS, defaults, head_norms, whole_norms
from planner.architecture.layouts import every, upper_windows, window, windowed, without_rope


def smollm3_layers(c: Config) -> Sequence[Layer]:
    """Each fourth layer has no rotary positions, and the sliding window where there is one."""
    size = window(c) if c.flag("use_sliding_window") else None
    rope = without_rope(c)
    types = c.kinds("layer_types", len(rope), ("full_attention", "sliding_attention"))
    slides = [kind == "sliding_attention" for kind in types] if types else [not has_rope for has_rope in rope]
    return [Layer(window=size if slide else None, rope=has_rope) for slide, has_rope in zip(slides, rope, strict=True)]


def olmo_layers(c: Config) -> Sequence[Layer]:
    """Norms have no weights, so with a tied head the last down_proj is the model's last parameter.

    transformers 5.23 (quantizers/base.py, get_keys_to_not_convert) keeps that one out of quantization.
    """
    num_layers, tied = c.layers(), c.flag("tie_word_embeddings")
    return [Layer(kept=tied and i == num_layers - 1) for i in range(num_layers)]


LLAMA = Style(
    defaults=defaults(32000, 4096, 11008, 32, 32, mlp_bias=False, max_position_embeddings=2048),
    mlp_bias="mlp_bias",
    **ALL_BIAS,
)
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
OLMO2: dict[str, Any] = {
    "norms": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "norm_order": "post",
    "qk_norm": whole_norms,
    "qk_norm_kind": "whole",
}

STYLES: dict[str, Style] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "olmo": Style(
        defaults=defaults(50304, 4096, 11008, 32, 32),
        norm="layer",
        norm_weight=False,
        layers=olmo_layers,
        **ALL_BIAS,
    ),
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
