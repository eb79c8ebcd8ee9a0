"""Decoders of Llama's shape: rotary attention with separate or fused projections, then an MLP or experts.

A family is a Style (what it does differently) and its defaults; the reading is the same for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Moe, Tensor
from planner.architecture.config import Config, refuse
from planner.architecture.parts import (
    Body,
    Heads,
    embedding,
    gated_mlp,
    grouped,
    heads_of,
    layer_norm,
    plain_mlp,
    projections,
    rms_norm,
    rotary,
    with_head,
)


class Layer(NamedTuple):
    """What makes one layer differ from another.

    window: its sliding window. local: of the kind that slides, window or not. sparse: experts, no MLP.
    rope: rotary positions. linear: the family's other mixer (linear attention, cross-attention).
    kept: transformers keeps its last linear out of quantization.
    """

    window: int | None = None
    local: bool = False
    sparse: bool = False
    rope: bool = True
    linear: bool = False
    kept: bool = False


class Mixer(NamedTuple):
    """The attention half of a layer."""

    linears: tuple[Linear, ...]
    tensors: tuple[Tensor, ...]
    attention: Attention


class Part(NamedTuple):
    """The feed-forward half of a layer."""

    linears: tuple[Linear, ...]
    tensors: tuple[Tensor, ...]
    mlp: Mlp | Moe


class Style(NamedTuple):
    """What a family does its own way. Names of fields are looked up in the config; "" is none.

    qkv_bias, out_bias, mlp_bias, head_bias: always, never, or the name of the config's flag.
    mixer, mlp, layers: None for plain attention, a gated MLP, layers that are all alike.
    partial_rotary: the family's share of head_dim that is rotated; None where it rotates all of it unless scaled.
    head_dim: the field that may name the width of a head; "" where the family always splits hidden_size.
    rope_width: the field that names the rotated width, where it is not head_dim (deepseek).
    rope_kinds: kinds of layers with rotary buffers of their own (gemma3, olmo3).
    buffers: further buffers of the layers, named from the model's root.
    """

    defaults: Mapping[str, object]
    aliases: Mapping[str, str] = MappingProxyType({})
    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    head_bias: bool | str = False
    out: str = "o_proj"
    head_dim: str = "head_dim"
    fused_qkv: bool = False
    q_gate: bool = False
    qk_norm: Callable[[Config, Heads], tuple[Tensor, ...]] | None = None
    qk_norm_kind: Literal["none", "head", "whole"] = "none"
    extra: Callable[[Config, Heads], tuple[Tensor, ...]] | None = None
    norm: Literal["rms", "layer"] = "rms"
    norm_bias: bool = True
    norm_weight: bool = True
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    norm_order: Literal["pre", "post", "both"] = "pre"
    final_norm: str = "norm"
    parallel: bool | str = False
    mixer: "Callable[[Config, Style, Layer], Mixer] | None" = None
    mlp: "Callable[[Config, Style, Layer], Part] | None" = None
    layers: Callable[[Config], Sequence[Layer]] | None = None
    partial_rotary: float | None = None
    rope_width: str = ""
    rope_kinds: tuple[str, ...] = ("",)
    buffers: Callable[[Config, str, Sequence[Layer]], tuple[Tensor, ...]] | None = None
    scaled_embedding: bool = False
    activation: str = "hidden_act"
    attention_dropout: str = "attention_dropout"
    residual_dropout: str = ""
    embedding_dropout: str = ""
    softcap: str = ""
    final_softcap: str = ""


def decided(c: Config, rule: bool | str) -> bool:
    """A style's rule: fixed, or the config's flag of that name."""
    return c.flag(rule) if isinstance(rule, str) else rule


def rotary_dim(c: Config, head_dim: int, partial: float | None) -> int:
    """How much of head_dim is rotated, by rope_parameters, the older rope_scaling or the family's own share."""
    rope = c.section("rope_scaling") or c.section("rope_parameters")
    nested = rope.get("full_attention")
    rope = nested if isinstance(nested, dict) else rope
    kind = rope.get("rope_type", rope.get("type", "default"))
    if partial is None and kind in ("default", "mrope", None):
        return head_dim
    share = rope.get("partial_rotary_factor", c.get("partial_rotary_factor"))
    if share is None:
        share = 1.0 if partial is None else partial
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        refuse("partial_rotary_factor", share, "must be a number from 0 to 1")
    return int(head_dim * share)


def norm(style: Style, name: str, size: int) -> tuple[Tensor, ...]:
    if not style.norm_weight:
        return ()
    return rms_norm(name, size) if style.norm == "rms" else layer_norm(name, size, style.norm_bias)


def gated(c: Config, style: Style, layer: Layer) -> Part:
    """gate_proj, up_proj, down_proj."""
    size = c.size("intermediate_size")
    linears = gated_mlp("mlp", c.size("hidden_size"), size, decided(c, style.mlp_bias))
    if layer.kept:
        linears = (*linears[:-1], linears[-1]._replace(quantizable=False))
    return Part(linears, (), Mlp(size, True, c.text(style.activation)))


def fused(c: Config, style: Style, layer: Layer) -> Part:
    """Gate and up in one linear, gate_up_proj."""
    hidden, size = c.size("hidden_size"), c.size("intermediate_size")
    bias = decided(c, style.mlp_bias)
    linears = (Linear("mlp.gate_up_proj", 2 * size, hidden, bias), Linear("mlp.down_proj", hidden, size, bias))
    return Part(linears, (), Mlp(size, True, c.text(style.activation), fused=True))


def plain(up: str, down: str) -> "Callable[[Config, Style, Layer], Part]":
    """Two linears with an activation between them, named as the family names them."""

    def read(c: Config, style: Style, layer: Layer) -> Part:
        hidden, size = c.size("hidden_size"), c.size("intermediate_size")
        linears = plain_mlp(up, down, hidden, size, decided(c, style.mlp_bias))
        return Part(linears, (), Mlp(size, False, c.text(style.activation)))

    return read


def attention_linears(c: Config, style: Style, sizes: Heads) -> tuple[Linear, ...]:
    qkv_bias, out_bias = decided(c, style.qkv_bias), decided(c, style.out_bias)
    if style.fused_qkv:
        qkv = Linear("self_attn.qkv_proj", sizes.q_size + 2 * sizes.kv_size, sizes.hidden, qkv_bias)
        return (qkv, Linear(f"self_attn.{style.out}", sizes.hidden, sizes.q_size, out_bias))
    linears = projections("self_attn", sizes, qkv_bias, out_bias, style.out)
    if style.q_gate:
        linears = (Linear("self_attn.q_proj", 2 * sizes.q_size, sizes.hidden, qkv_bias), *linears[1:])
    return linears


def attend(c: Config, style: Style, layer: Layer) -> Mixer:
    """Attention over separate or fused projections."""
    sizes = heads_of(c, head_dim=style.head_dim or None)
    qk_norm = style.qk_norm(c, sizes) if style.qk_norm else ()
    extra = style.extra(c, sizes) if style.extra else ()
    attention = Attention(
        kind="sliding" if layer.window else "full",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        sliding_window=layer.window,
        qk_norm=style.qk_norm_kind if qk_norm else "none",
        fused="qkv" if style.fused_qkv else "none",
        position="rope" if layer.rope else "none",
        rotary_dim=rotary_dim(c, sizes.head_dim, style.partial_rotary) if layer.rope else 0,
        softcap=bool(style.softcap) and c.get(style.softcap) is not None,
        dropout=c.share(style.attention_dropout),
    )
    return Mixer(attention_linears(c, style, sizes), extra + qk_norm, attention)


def block(c: Config, style: Style, layer: Layer) -> Block:
    """One layer; grouped() puts prefix and indices in."""
    mixer, part = (style.mixer or attend)(c, style, layer), (style.mlp or gated)(c, style, layer)
    parallel = decided(c, style.parallel)
    names = style.norms[:1] if parallel and len(style.norms) == 2 else style.norms
    norms = tuple(t for name in names for t in norm(style, name, c.size("hidden_size")))
    return Block(
        prefix="",
        indices=(),
        linears=mixer.linears + part.linears,
        tensors=mixer.tensors + part.tensors + norms,
        attention=mixer.attention,
        mlp=part.mlp,
        norm=style.norm,
        parallel=parallel,
        residual_dropout=c.share(style.residual_dropout) if style.residual_dropout else 0.0,
        num_norms=len(names),
        norm_order=style.norm_order,
    )


def decoder_body(c: Config, style: Style, root: str = "model") -> Body:
    """Embedding, layers, final norm and rotary buffers under `root`."""
    hidden, vocab = c.size("hidden_size"), c.size("vocab_size")
    layers = style.layers(c) if style.layers else [Layer()] * c.layers()
    blocks = grouped(f"{root}.layers", layers, lambda layer: block(c, style, layer))
    kinds = style.rope_kinds
    if kinds != ("",):
        local = {layer.local for layer in layers}
        kinds = tuple(kind for kind in kinds if kind.startswith("sliding") in local)
    scale = (Tensor(f"{root}.embed_tokens.embed_scale", (), "other"),) if style.scaled_embedding else ()
    width = c.size(style.rope_width) if style.rope_width else heads_of(c).head_dim
    buffers = style.buffers(c, root, layers) if style.buffers else ()
    return Body(
        blocks=blocks,
        tensors=embedding(f"{root}.embed_tokens", vocab, hidden) + norm(style, f"{root}.{style.final_norm}", hidden),
        buffers=scale + buffers + rotary(f"{root}.rotary_emb", rotary_dim(c, width, style.partial_rotary), kinds),
    )


def decoder(given: Mapping[str, object], style: Style) -> Architecture:
    """A causal language model of this style."""
    c = Config(given, style.defaults, style.aliases)
    return language_model(c, style, decoder_body(c, style))


def language_model(c: Config, style: Style, body: Body) -> Architecture:
    """The body under its head."""
    return with_head(
        c,
        body,
        hidden=c.size("hidden_size"),
        vocab=c.size("vocab_size"),
        tied=c.flag("tie_word_embeddings"),
        head_bias=decided(c, style.head_bias),
        softcap=bool(style.final_softcap) and c.get(style.final_softcap) is not None,
        embedding_dropout=c.share(style.embedding_dropout) if style.embedding_dropout else 0.0,
    )
