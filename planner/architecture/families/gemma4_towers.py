"""Gemma 4's vision and audio towers. Defaults and shapes: transformers 5.23, models/gemma4."""

from planner.architecture.blocks import Attention, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.families.shared import FOUR_NORMS
from planner.architecture.parts import Body, Heads, conv, grouped, heads_of, joined, layer_norm, rms_norm, rotary, split

VISION_DEFAULTS: dict[str, object] = {
    **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16, "num_attention_heads": 12},
    **{"num_key_value_heads": 12, "head_dim": 64, "hidden_activation": "gelu_pytorch_tanh", "patch_size": 16},
    **{"position_embedding_size": 10240, "use_clipped_linears": False, "standardize": False},
    "attention_dropout": 0.0,
}
AUDIO_DEFAULTS: dict[str, object] = {
    **{"hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 8, "hidden_act": "silu"},
    **{"subsampling_conv_channels": [128, 32], "conv_kernel_size": 5, "use_clipped_linears": True},
    "output_proj_dims": 1536,
}
LIMITS = ("input_min", "input_max", "output_min", "output_max")


def clipped(c: Config, prefix: str, num_layers: int, names: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Four limits beside each linear, where use_clipped_linears is set."""
    if not c.flag("use_clipped_linears"):
        return ()
    paths = [f"{prefix}.{i}.{name}.{limit}" for i in range(num_layers) for name in names for limit in LIMITS]
    return tuple(Tensor(path, ()) for path in paths)


def wrapped(shapes: dict[str, tuple[int, int]]) -> tuple[Linear, ...]:
    """Linears inside a Gemma4ClippableLinear: their names end in ".linear"."""
    return tuple(Linear(f"{name}.linear", out, size) for name, (out, size) in shapes.items())


def vision_shapes(sizes: Heads, inner: int) -> dict[str, tuple[int, int]]:
    hidden = sizes.hidden
    return {
        "self_attn.q_proj": (sizes.q_size, hidden),
        "self_attn.k_proj": (sizes.kv_size, hidden),
        "self_attn.v_proj": (sizes.kv_size, hidden),
        "self_attn.o_proj": (hidden, sizes.q_size),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }


def vision(c: Config, root: str) -> Body:
    """Patches through a linear, tables of x and y positions, gated layers with four norms."""
    sizes, inner, num_layers = heads_of(c), c.size("intermediate_size"), c.layers()
    hidden, dim = sizes.hidden, sizes.head_dim
    shapes = vision_shapes(sizes, inner)
    attention = Attention(
        kind="bidirectional",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=dim,
        v_head_dim=dim,
        qk_norm="head",
        rotary_dim=dim,
        dropout=c.share("attention_dropout"),
    )
    norms = rms_norm("self_attn.q_norm", dim) + rms_norm("self_attn.k_norm", dim)
    norms += tuple(t for name in FOUR_NORMS for t in rms_norm(name, hidden))
    mlp = Mlp(inner, True, c.text("hidden_activation"))
    block = Block("", (), wrapped(shapes), norms, attention, mlp, num_norms=4, norm_order="both")
    standard = ("std_bias", "std_scale") if c.flag("standardize") else ()
    table = (2, c.size("position_embedding_size"), hidden)
    return Body(
        blocks=grouped(f"{root}.encoder.layers", [0] * num_layers, lambda _: block),
        tensors=(Tensor(f"{root}.patch_embedder.position_embedding_table", table, "position"),),
        linears=(Linear(f"{root}.patch_embedder.input_proj", hidden, 3 * c.size("patch_size") ** 2),),
        buffers=tuple(Tensor(f"{root}.{name}", (hidden,)) for name in standard)
        + rotary(f"{root}.encoder.rotary_emb", dim // 2)
        + clipped(c, f"{root}.encoder.layers", num_layers, tuple(shapes)),
    )


def audio_shapes(hidden: int) -> dict[str, tuple[int, int]]:
    """A conformer layer: half an MLP, attention, a convolution, half an MLP."""
    wide, same = (4 * hidden, hidden), (hidden, hidden)
    return {
        "feed_forward1.ffw_layer_1": wide,
        "feed_forward1.ffw_layer_2": wide[::-1],
        "self_attn.q_proj": same,
        "self_attn.k_proj": same,
        "self_attn.v_proj": same,
        "self_attn.post": same,
        "lconv1d.linear_start": (2 * hidden, hidden),
        "lconv1d.linear_end": same,
        "feed_forward2.ffw_layer_1": wide,
        "feed_forward2.ffw_layer_2": wide[::-1],
    }


def audio_block(c: Config, hidden: int, heads: int, head_dim: int) -> Block:
    names = [f"feed_forward{i}.{which}_layer_norm" for i in (1, 2) for which in ("pre", "post")]
    names += ["lconv1d.pre_layer_norm", "lconv1d.conv_norm", "norm_pre_attn", "norm_post_attn", "norm_out"]
    tensors = tuple(t for name in names for t in rms_norm(name, hidden))
    tensors += conv("lconv1d.depthwise_conv1d", (hidden, 1, c.size("conv_kernel_size")))
    return Block(
        prefix="",
        indices=(),
        linears=(*wrapped(audio_shapes(hidden)), Linear("self_attn.relative_k_proj", hidden, hidden)),
        tensors=(*tensors, Tensor("self_attn.per_dim_scale", (head_dim,))),
        attention=Attention("bidirectional", heads, heads, head_dim, head_dim, position="relative", softcap=True),
        mlp=Mlp(4 * hidden, False, c.text("hidden_act")),
        num_norms=len(names),
        norm_order="both",
    )


def subsample(c: Config, root: str, hidden: int) -> Body:
    """Two convolutions of stride 2 over the spectrogram."""
    channels = c.integers("subsampling_conv_channels", 2**24)
    if len(channels) != 2 or not all(channels):
        c.refuse("subsampling_conv_channels", "must be two positive integers")
    first, second = channels
    tensors = conv(f"{root}.layer0.conv", (first, 1, 3, 3)) + layer_norm(f"{root}.layer0.norm", first, False)
    tensors += conv(f"{root}.layer1.conv", (second, first, 3, 3)) + layer_norm(f"{root}.layer1.norm", second, False)
    return Body(tensors=tensors, linears=(Linear(f"{root}.input_proj_linear", hidden, first // 4 * second),))


def audio(c: Config, root: str) -> Body:
    hidden, heads, num_layers = c.size("hidden_size"), c.size("num_attention_heads"), c.layers()
    block = audio_block(c, hidden, heads, split(c, "hidden_size", "num_attention_heads"))
    softcaps = tuple(Tensor(f"{root}.layers.{i}.self_attn.softcap", ()) for i in range(num_layers))
    layers = Body(
        blocks=grouped(f"{root}.layers", [0] * num_layers, lambda _: block),
        linears=(Linear(f"{root}.output_proj", c.size("output_proj_dims"), hidden, True),),
        buffers=(
            Tensor(f"{root}.rel_pos_enc.inv_timescales", (1, 1, hidden // 2)),
            *softcaps,
            *clipped(c, f"{root}.layers", num_layers, tuple(audio_shapes(hidden))),
        ),
    )
    return joined(subsample(c, f"{root}.subsample_conv_projection", hidden), layers)
