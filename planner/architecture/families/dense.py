"""Dense decoders that leave Llama's shape somewhere: fused projections, LayerNorm, parallel halves, partial rotary.

Defaults: the config classes of transformers 5.23.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from planner.architecture.blocks import Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Style, decoder, fused, plain
from planner.architecture.families.shared import ALL_BIAS, defaults
from planner.architecture.layouts import every_named, windowed
from planner.architecture.parts import Heads, layer_norm


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


def cohere2_layers(c: Config) -> Sequence[Layer]:
    """Rotary positions in the layers with a sliding window only."""
    layers = every_named("sliding_window_pattern", 4)(c)
    return [layer._replace(rope=layer.window is not None) for layer in layers]


GLM: dict[str, Any] = {"qkv_bias": "attention_bias", "partial_rotary": 0.5, "mlp": fused}
GLM_DEFAULTS = defaults(151552, 4096, 13696, 40, 32, num_key_value_heads=2, head_dim=128, attention_bias=True)
COHERE: dict[str, Any] = {
    "norm": "layer",
    "norm_bias": False,
    "parallel": True,
}

STYLES: dict[str, Style] = {
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
        head_dim="",
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
}

READERS = {name: partial(decoder, style=style) for name, style in STYLES.items()}
