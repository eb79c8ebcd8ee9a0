"""Llama 4 and Llama 3.2 Vision. Defaults and shapes: transformers 5.23, models/{llama4, mllama}."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Mixer, Part, Style, attend, decoder_body
from planner.architecture.experts import mixture, shared_mlp, stacks
from planner.architecture.families.shared import ALL_BIAS, defaults, head_norms
from planner.architecture.families.vision import encoder_block, patch_count, tower_sizes
from planner.architecture.families.vision_language import assemble, part, text_config
from planner.architecture.layouts import window, without_rope
from planner.architecture.parts import (
    Body,
    Heads,
    conv,
    gated_mlp,
    grouped,
    heads_of,
    joined,
    layer_norm,
    plain_mlp,
    projections,
)

LLAMA4_VISION: dict[str, object] = {
    **{"hidden_size": 768, "hidden_act": "gelu", "num_hidden_layers": 34, "num_attention_heads": 16},
    **{"num_channels": 3, "intermediate_size": 5632, "vision_output_dim": 7680, "image_size": 448, "patch_size": 14},
    **{"projector_input_dim": 4096, "projector_output_dim": 4096, "attention_dropout": 0.0},
}
MLLAMA_VISION: dict[str, object] = {
    **{"hidden_size": 1280, "hidden_act": "gelu", "num_hidden_layers": 32, "num_global_layers": 8},
    **{"attention_heads": 16, "num_channels": 3, "intermediate_size": 5120, "vision_output_dim": 7680},
    **{"image_size": 448, "patch_size": 14, "max_num_tiles": 4},
    "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
}


def llama4_layers(c: Config) -> Sequence[Layer]:
    """Chunked attention where there are rotary positions; experts in each interleave_moe_layer_step-th layer."""
    num_layers, rope = c.layers(), without_rope(c)
    types = c.kinds("layer_types", num_layers, ("chunked_attention", "full_attention"))
    chunked = [kind == "chunked_attention" for kind in types] if types else list(rope)
    step, size = c.size("interleave_moe_layer_step"), window(c, "attention_chunk_size")
    listed = c.get("moe_layers") is not None
    sparse = set(c.integers("moe_layers")) if listed else set(range(step - 1, num_layers, step))
    windows = [size if at else None for at in chunked]
    return [Layer(windows[i], chunked[i], i in sparse, rope[i]) for i in range(num_layers)]


def llama4_mixer(c: Config, style: Style, layer: Layer) -> Mixer:
    """Queries and keys are normed, without weights, where there are rotary positions."""
    mixer = attend(c, style, layer)
    normed = layer.rope and c.flag("use_qk_norm")
    return mixer._replace(attention=mixer.attention._replace(qk_norm="head" if normed else "none"))


def llama4_mlp(c: Config, style: Style, layer: Layer) -> Part:
    """Experts stored [in, out], a router that is a subclass of nn.Linear, a shared expert as wide as one expert."""
    hidden, size = c.size("hidden_size"), c.size("intermediate_size")
    if not layer.sparse:
        wide = c.size("intermediate_size_mlp")
        return Part(gated_mlp("feed_forward", hidden, wide), (), Mlp(wide, True, c.text("hidden_act")))
    moe = mixture(c, "num_local_experts", "intermediate_size", shared=size)
    routing = Linear("feed_forward.router", moe.num_experts, hidden, cls="subclass")
    experts = stacks("feed_forward.experts", moe.num_experts, hidden, size, transposed=True)
    return Part((routing, *shared_mlp("feed_forward.shared_expert", hidden, size)), experts, moe)


LLAMA4_TEXT = Style(
    defaults=defaults(
        *(202048, 5120, 8192, 48, 40),
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size_mlp=16384,
        num_experts_per_tok=1,
        num_local_experts=16,
        interleave_moe_layer_step=1,
        use_qk_norm=True,
        no_rope_layer_interval=4,
        attention_chunk_size=8192,
        attn_temperature_tuning=True,
    ),
    mixer=llama4_mixer,
    layers=llama4_layers,
    mlp=llama4_mlp,
    **ALL_BIAS,
)


def llama4_vision_block(c: Config, sizes: Heads) -> Block:
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    return encoder_block(
        sizes,
        projections("self_attn", sizes, True, True) + plain_mlp("mlp.fc1", "mlp.fc2", hidden, inner),
        layer_norm("input_layernorm", hidden) + layer_norm("post_attention_layernorm", hidden),
        Mlp(inner, False, c.text("hidden_act")),
        position="rope",
        rotated=sizes.head_dim,
        dropout=c.share("attention_dropout"),
    )


def llama4_vision(c: Config, root: str) -> Body:
    """Patches through a linear, a class token, complex rotary frequencies, an adapter that shuffles pixels."""
    sizes = tower_sizes(c)
    hidden, count, side = sizes.hidden, patch_count(c) + 1, c.size("patch_size")
    wide, out = c.size("projector_input_dim"), c.size("projector_output_dim")
    frequencies = (count, 1, sizes.head_dim // 4 * 2)
    return Body(
        blocks=grouped(f"{root}.model.layers", [0] * c.layers(), lambda _: llama4_vision_block(c, sizes)),
        tensors=(
            Tensor(f"{root}.class_embedding", (hidden,), "embedding"),
            Tensor(f"{root}.positional_embedding_vlm", (count, hidden), "position"),
            *layer_norm(f"{root}.layernorm_pre", hidden),
            *layer_norm(f"{root}.layernorm_post", hidden),
        ),
        linears=(
            Linear(f"{root}.patch_embedding.linear", hidden, c.size("num_channels") * side**2),
            Linear(f"{root}.vision_adapter.mlp.fc1", wide, c.size("intermediate_size")),
            Linear(f"{root}.vision_adapter.mlp.fc2", out, out),
        ),
        buffers=(Tensor(f"{root}.rotary_embedding.freqs_ci", frequencies, "position", "complex64"),),
    )


def llama4(given: Mapping[str, object]) -> Architecture:
    c = Config(given, {"tie_word_embeddings": False})
    text = text_config(c, LLAMA4_TEXT)
    seen = Config(part(c, "vision_config"), LLAMA4_VISION, part="vision_config.")
    hidden = text.size("hidden_size")
    project = Linear("multi_modal_projector.linear_1", hidden, seen.size("vision_output_dim"))
    decoder = decoder_body(text, LLAMA4_TEXT, "language_model.model")
    body = joined(llama4_vision(seen, "vision_model"), Body(linears=(project,)), decoder)
    model = assemble(c, text, LLAMA4_TEXT, body, text.flag("tie_word_embeddings"))
    head = Linear("language_model.lm_head", text.size("vocab_size"), hidden, quantizable=False)
    return replace(model, head=head)


def mllama_mixer(c: Config, style: Style, layer: Layer) -> Mixer:
    """Self-attention, or cross-attention to the image with normed queries and keys (layer.linear marks it)."""
    if not layer.linear:
        return attend(c, style, layer)
    sizes = heads_of(c, head_dim=None)
    gates = (Tensor("cross_attn_attn_gate", (1,)), Tensor("cross_attn_mlp_gate", (1,)))
    norms = tuple(t._replace(name=t.name.replace("self_attn", "cross_attn")) for t in head_norms(c, sizes))
    attention = Attention(
        kind="cross",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        qk_norm="head",
        position="none",
        dropout=c.share("dropout"),
    )
    return Mixer(projections("cross_attn", sizes, False, False), gates + norms, attention)


def mllama_layers(c: Config) -> Sequence[Layer]:
    cross = set(c.integers("cross_attention_layers"))
    return [Layer(linear=i in cross) for i in range(c.layers())]


MLLAMA_TEXT = Style(
    defaults=defaults(
        *(128256, 4096, 14336, 40, 32),
        num_key_value_heads=8,
        dropout=0.0,
        cross_attention_layers=[3, 8, 13, 18, 23, 28, 33, 38],
    ),
    head_dim="",
    mixer=mllama_mixer,
    layers=mllama_layers,
    attention_dropout="dropout",
)


def mllama_vision_block(c: Config, sizes: Heads, gated: bool) -> Block:
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    gates = (Tensor("gate_attn", (1,)), Tensor("gate_ffn", (1,))) if gated else ()
    return encoder_block(
        sizes,
        projections("self_attn", sizes, False, False) + plain_mlp("mlp.fc1", "mlp.fc2", hidden, inner),
        gates + layer_norm("input_layernorm", hidden) + layer_norm("post_attention_layernorm", hidden),
        Mlp(inner, False, c.text("hidden_act")),
    )


def mllama_tiles(c: Config, root: str, hidden: int) -> tuple[Tensor, ...]:
    """Gated embeddings of patches and tiles: one row for each aspect ratio, and one for none."""
    ratios = c.get("supported_aspect_ratios")
    if not isinstance(ratios, list | tuple) or not 0 < len(ratios) <= 1000:
        c.refuse("supported_aspect_ratios", "must be a list of 1 to 1000 aspect ratios")
    rows, tiles, count = len(ratios) + 1, c.size("max_num_tiles"), patch_count(c) + 1
    gated, tile = f"{root}.gated_positional_embedding", "tile_positional_embedding"
    found = [
        Tensor(f"{gated}.gate", (1,)),
        Tensor(f"{gated}.embedding", (count, hidden), "position"),
        Tensor(f"{gated}.tile_embedding.weight", (rows, tiles * count * hidden), "position"),
    ]
    for when in ("pre", "post"):
        found.append(Tensor(f"{root}.{when}_{tile}.gate", (1,)))
        found.append(Tensor(f"{root}.{when}_{tile}.embedding.weight", (rows, tiles * hidden), "position"))
    return tuple(found)


def mllama_vision(c: Config, root: str) -> Body:
    """Local layers, then global layers with gates."""
    sizes = tower_sizes(c, "attention_heads")
    hidden, patch = sizes.hidden, c.size("patch_size")
    stages = (("transformer", "num_hidden_layers", False), ("global_transformer", "num_global_layers", True))
    blocks = [
        grouped(f"{root}.{name}.layers", [gated] * c.layers(count), lambda x: mllama_vision_block(c, sizes, x))
        for name, count, gated in stages
    ]
    return Body(
        blocks=blocks[0] + blocks[1],
        tensors=(
            Tensor(f"{root}.class_embedding", (hidden,), "embedding"),
            *conv(f"{root}.patch_embedding", (hidden, c.size("num_channels"), patch, patch)),
            *mllama_tiles(c, root, hidden),
            *layer_norm(f"{root}.layernorm_pre", hidden),
            *layer_norm(f"{root}.layernorm_post", hidden),
        ),
    )


def mllama(given: Mapping[str, object]) -> Architecture:
    """Eight more rows in the embedding than in the head: the two are never tied."""
    c = Config(given, {})
    text = text_config(c, MLLAMA_TEXT)
    seen = Config(part(c, "vision_config"), MLLAMA_VISION, {"num_attention_heads": "attention_heads"}, "vision_config.")
    hidden, vocab = text.size("hidden_size"), text.size("vocab_size")
    project = Linear("model.multi_modal_projector", hidden, seen.size("vision_output_dim"), True)
    body = decoder_body(text, MLLAMA_TEXT, "model.language_model")
    table = "model.language_model.embed_tokens.weight"
    tensors = tuple(t._replace(shape=(vocab + 8, hidden)) if t.name == table else t for t in body.tensors)
    decoder = body._replace(tensors=tensors)
    body = joined(mllama_vision(seen, "model.vision_model"), Body(linears=(project,)), decoder)
    return assemble(c, text, MLLAMA_TEXT, body, False)


READERS = {"llama4": llama4, "mllama": mllama}
