"""Vision-language models of three parts: a vision tower, a projector, a text decoder of a known style.

Defaults and shapes: transformers 5.23, models/{llava, mistral3, gemma3, qwen2_vl, qwen2_5_vl, qwen3_vl, qwen3_vl_moe,
qwen3_5, qwen3_5_moe}.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from planner.architecture.blocks import Architecture, Linear, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Style, decoder_body, language_model
from planner.architecture.families import dense, gemma, llama_like, moe, vision
from planner.architecture.families.qwen_next import QWEN3_5_MOE_TEXT, QWEN3_5_TEXT
from planner.architecture.families.shared import defaults
from planner.architecture.parts import Body, joined, rms_norm

Tower = Callable[[Config, str], Body]
TOWERS: dict[str, tuple[Tower, Mapping[str, object]]] = {
    "clip_vision_model": (vision.clip, vision.CLIP_DEFAULTS),
    "siglip_vision_model": (vision.siglip, vision.SIGLIP_DEFAULTS),
    "pixtral": (vision.pixtral, vision.PIXTRAL_DEFAULTS),
}
TEXTS: dict[str, Style] = {**llama_like.STYLES, **gemma.STYLES, **dense.STYLES, **moe.STYLES}
LLAVA_VISION: dict[str, Any] = {
    **{"model_type": "clip_vision_model", "intermediate_size": 4096, "hidden_size": 1024, "patch_size": 14},
    **{"image_size": 336, "num_hidden_layers": 24, "num_attention_heads": 16},
}
MISTRAL3_VISION: dict[str, Any] = {
    **{"model_type": "pixtral", "intermediate_size": 4096, "hidden_size": 1024, "patch_size": 14},
    **{"image_size": 1540, "num_hidden_layers": 24, "num_attention_heads": 16},
}
MISTRAL3_TEXT: dict[str, Any] = {
    **{"model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768},
    **{"num_hidden_layers": 40, "num_key_value_heads": 8, "sliding_window": None, "vocab_size": 131072},
}


def part(c: Config, name: str, absent: Mapping[str, object] | None = None) -> Mapping[str, object]:
    """A nested config; where the config has none, what transformers puts in its place."""
    return c.section(name) if c.get(name) is not None else absent or {}


def text_config(c: Config, style: Style, absent: Mapping[str, object] | None = None) -> Config:
    return Config(part(c, "text_config", absent), style.defaults, style.aliases, "text_config.")


def known(given: Mapping[str, object], field: str, default: str, names: Mapping[str, object]) -> str:
    """The model_type of a nested config, one of `names`."""
    model_type = given.get("model_type", default)
    if not isinstance(model_type, str) or model_type not in names:
        Config(given, {"model_type": default}, part=f"{field}.").refuse(
            "model_type", f"must be one of {', '.join(sorted(names))}"
        )
    return model_type


def tower(c: Config, root: str, default: str, absent: Mapping[str, object] | None = None) -> tuple[Body, int]:
    """The vision tower its config names, and its width."""
    given = part(c, "vision_config", absent)
    read, defaults = TOWERS[known(given, "vision_config", default, TOWERS)]
    inner = Config(given, defaults, part="vision_config.")
    return read(inner, root), inner.size("hidden_size")


def assemble(c: Config, text: Config, style: Style, body: Body, tied: bool) -> Architecture:
    """The whole body under the text model's head; model_type and config are those of the outer config."""
    inner = language_model(text, style, body)
    fields = {**c.fields, "text_config": text.fields}
    return replace(inner, model_type=c.text("model_type"), tied=tied, config=fields)


def num_features(c: Config) -> int:
    """How many layers of the tower the projector reads."""
    value = c.get("vision_feature_layer")
    if isinstance(value, int) and not isinstance(value, bool):
        return 1
    if not isinstance(value, list | tuple) or not value or len(value) > 1000:
        c.refuse("vision_feature_layer", "must be an integer or a list of integers")
    return len(value)


def projector(c: Config, width: int, hidden: int) -> tuple[Linear, ...]:
    """linear_1 and linear_2 of llava and mistral3."""
    bias = c.flag("multimodal_projector_bias")
    return (
        Linear("model.multi_modal_projector.linear_1", hidden, width * num_features(c), bias),
        Linear("model.multi_modal_projector.linear_2", hidden, hidden, bias),
    )


def llava(given: Mapping[str, object]) -> Architecture:
    c = Config(given, {"vision_feature_layer": -2, "multimodal_projector_bias": True, "tie_word_embeddings": False})
    style = TEXTS[known(part(c, "text_config"), "text_config", "llama", TEXTS)]
    text = text_config(c, style)
    seen, width = tower(c, "model.vision_tower", "clip_vision_model", LLAVA_VISION)
    project = Body(linears=projector(c, width, text.size("hidden_size")))
    tied = c.flag("tie_word_embeddings") or text.flag("tie_word_embeddings")
    return assemble(c, text, style, joined(seen, project, decoder_body(text, style, "model.language_model")), tied)


def mistral3(given: Mapping[str, object]) -> Architecture:
    """The projector norms and merges spatial_merge_size squared patches first."""
    c = Config(
        given,
        {
            **{"vision_feature_layer": -1, "multimodal_projector_bias": False, "spatial_merge_size": 2},
            "tie_word_embeddings": True,
        },
    )
    style = TEXTS[known(part(c, "text_config", MISTRAL3_TEXT), "text_config", "mistral", TEXTS)]
    text = text_config(c, style, MISTRAL3_TEXT)
    seen, width = tower(c, "model.vision_tower", "pixtral", MISTRAL3_VISION)
    merged = width * c.size("spatial_merge_size") ** 2
    merge = Linear("model.multi_modal_projector.patch_merger.merging_layer", width, merged)
    project = Body(
        tensors=rms_norm("model.multi_modal_projector.norm", width),
        linears=(merge, *projector(c, width, text.size("hidden_size"))),
    )
    body = joined(seen, project, decoder_body(text, style, "model.language_model"))
    return assemble(c, text, style, body, c.flag("tie_word_embeddings"))


def gemma3(given: Mapping[str, object]) -> Architecture:
    """The projection into the text model is a plain parameter."""
    c = Config(given, {"tie_word_embeddings": True})
    style = gemma.GEMMA3
    text = text_config(c, style)
    seen, width = tower(c, "model.vision_tower", "siglip_vision_model")
    root = "model.multi_modal_projector"
    weight = Tensor(f"{root}.mm_input_projection_weight", (width, text.size("hidden_size")))
    project = Body(tensors=(weight, *rms_norm(f"{root}.mm_soft_emb_norm", width)))
    body = joined(seen, project, decoder_body(text, style, "model.language_model"))
    return assemble(c, text, style, body, c.flag("tie_word_embeddings"))


def qwen_vl(
    given: Mapping[str, object], style: Style, read: Tower, defaults: Mapping[str, object], flat: bool = False
) -> Architecture:
    """Qwen's models: the tower ends in a merger of the text model's width.

    flat: old configs hold the text model's fields beside vision_config, and its tie_word_embeddings counts too.
    """
    c = Config(given, {"tie_word_embeddings": False})
    absent = given if flat else None
    text = text_config(c, style, absent)
    seen = read(Config(part(c, "vision_config"), defaults, vision.QWEN_ALIASES, "vision_config."), "model.visual")
    tied = c.flag("tie_word_embeddings") or (flat and text.flag("tie_word_embeddings"))
    return assemble(c, text, style, joined(seen, decoder_body(text, style, "model.language_model")), tied)


VL_WINDOWS: dict[str, Any] = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 80}
QWEN2_VL_TEXT = llama_like.QWEN2._replace(
    defaults=defaults(152064, 8192, 29568, 80, 64, num_key_value_heads=8, **VL_WINDOWS),
    head_dim="",
)
QWEN3_VL_TEXT = llama_like.QWEN3._replace(
    defaults=defaults(151936, 4096, 22016, 32, 32, num_key_value_heads=32, head_dim=128),
    layers=None,
)
QWEN3_VL_MOE_TEXT = moe.QWEN3_MOE._replace(
    defaults=defaults(
        *(151936, 2048, 5632, 24, 16),
        num_key_value_heads=16,
        moe_intermediate_size=1408,
        num_experts=60,
        num_experts_per_tok=4,
        **moe.STEPS,
    ),
    layers=moe.stepped_layers,
)
qwen3_5_tower = partial(vision.qwen3, deepstack=False)

READERS = {
    "llava": llava,
    "mistral3": mistral3,
    "gemma3": gemma3,
    "qwen2_vl": partial(qwen_vl, style=QWEN2_VL_TEXT, read=vision.qwen2, defaults=vision.QWEN2_DEFAULTS, flat=True),
    "qwen2_5_vl": partial(
        qwen_vl, style=QWEN2_VL_TEXT, read=vision.qwen2_5, defaults=vision.QWEN2_5_DEFAULTS, flat=True
    ),
    "qwen3_vl": partial(qwen_vl, style=QWEN3_VL_TEXT, read=vision.qwen3, defaults=vision.QWEN3_DEFAULTS),
    "qwen3_vl_moe": partial(qwen_vl, style=QWEN3_VL_MOE_TEXT, read=vision.qwen3, defaults=vision.QWEN3_DEFAULTS),
    "qwen3_5": partial(qwen_vl, style=QWEN3_5_TEXT, read=qwen3_5_tower, defaults=vision.QWEN3_DEFAULTS),
    "qwen3_5_moe": partial(qwen_vl, style=QWEN3_5_MOE_TEXT, read=qwen3_5_tower, defaults=vision.QWEN3_DEFAULTS),
}
