"""Gemma 1 to 3: a scaled embedding that is also the head, norms before and after each part from Gemma 2 on.

Defaults: the config classes of transformers 5.23.
"""

from functools import partial
from typing import Any

from planner.architecture.decoder import Style, decoder
from planner.architecture.families.shared import ALL_BIAS, FOUR_NORMS, defaults, head_norms
from planner.architecture.layouts import every, every_named

GEMMA2: dict[str, Any] = {"norms": FOUR_NORMS, "norm_order": "both", "activation": "hidden_activation"}
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

STYLES: dict[str, Style] = {
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
}

READERS = {name: partial(decoder, style=style) for name, style in STYLES.items()}
