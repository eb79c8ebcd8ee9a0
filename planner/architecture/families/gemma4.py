"""Gemma 4: a text model whose layers differ in head size and may share keys and values, vision and audio towers.

Defaults and shapes: transformers 5.23, models/gemma4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Moe, Tensor
from planner.architecture.config import Config
from planner.architecture.experts import mixture, stacks
from planner.architecture.families.gemma4_towers import AUDIO_DEFAULTS, VISION_DEFAULTS, audio, vision
from planner.architecture.families.shared import FOUR_NORMS, defaults
from planner.architecture.layouts import ATTENTION_TYPES, window
from planner.architecture.parts import (
    Body,
    Heads,
    embedding,
    gated_mlp,
    grouped,
    heads_of,
    joined,
    rms_norm,
    rotary,
    with_head,
)

TEXT_DEFAULTS = defaults(
    *(262144, 2304, 9216, 30, 8),
    num_key_value_heads=4,
    head_dim=256,
    global_head_dim=512,
    num_global_key_value_heads=None,
    hidden_activation="gelu_pytorch_tanh",
    sliding_window=512,
    final_logit_softcapping=None,
    vocab_size_per_layer_input=262144,
    hidden_size_per_layer_input=256,
    attention_k_eq_v=False,
    num_kv_shared_layers=0,
    enable_moe_block=False,
    use_double_wide_mlp=False,
    num_experts=None,
    top_k_experts=None,
    moe_intermediate_size=None,
    tie_word_embeddings=True,
)


class Kind(NamedTuple):
    """full: attention over all tokens, with global_head_dim; shared: keys and values come from an earlier layer."""

    full: bool
    shared: bool


def layer_kinds(c: Config) -> Sequence[Kind]:
    """Each sixth layer is full unless layer_types says otherwise; the last always is."""
    num_layers, shared = c.layers(), c.count("num_kv_shared_layers")
    if shared >= num_layers:
        c.refuse("num_kv_shared_layers", f"must be less than num_hidden_layers={num_layers}")
    types = c.kinds("layer_types", num_layers, ATTENTION_TYPES)
    full = [kind == "full_attention" for kind in types] if types else [(i + 1) % 6 == 0 for i in range(num_layers)]
    full[-1] = True
    if set(full) != set(full[: num_layers - shared]):
        c.refuse("num_kv_shared_layers", "must leave a layer of each kind that computes keys and values")
    return [Kind(at, i >= num_layers - shared) for i, at in enumerate(full)]


def sizes_of(c: Config, kind: Kind) -> Heads:
    sizes = heads_of(c)
    if not kind.full:
        return sizes
    kv_heads = c.optional_size("num_global_key_value_heads") if c.flag("attention_k_eq_v") else None
    if kv_heads and sizes.heads % kv_heads:
        c.refuse("num_global_key_value_heads", f"must divide num_attention_heads={sizes.heads}")
    return Heads(sizes.hidden, sizes.heads, kv_heads or sizes.kv_heads, c.size("global_head_dim"))


def attention_linears(c: Config, kind: Kind, sizes: Heads) -> tuple[Linear, ...]:
    """No k_proj and v_proj where they are shared, no v_proj where values are the keys."""
    bias = c.flag("attention_bias")
    names = ["q_proj"] if kind.shared else ["q_proj", "k_proj", "v_proj"]
    if kind.full and c.flag("attention_k_eq_v") and not kind.shared:
        names.remove("v_proj")
    widths = {"q_proj": sizes.q_size, "k_proj": sizes.kv_size, "v_proj": sizes.kv_size}
    ins = tuple(Linear(f"self_attn.{name}", widths[name], sizes.hidden, bias) for name in names)
    return (*ins, Linear("self_attn.o_proj", sizes.hidden, sizes.q_size, bias))


def experts(c: Config, hidden: int, dense: int) -> tuple[tuple[Linear, ...], tuple[Tensor, ...], Moe]:
    """Experts beside the dense MLP, which every token takes."""
    moe = mixture(
        c,
        "num_experts",
        "moe_intermediate_size",
        top_k="top_k_experts",
        activation="hidden_activation",
        shared=dense,
    )
    count = moe.num_experts
    names = ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2")
    tensors = (
        Tensor("router.scale", (hidden,), "router"),
        Tensor("router.per_expert_scale", (count,), "router"),
        *stacks("experts", count, hidden, moe.intermediate_size),
        *(t for name in names for t in rms_norm(name, hidden)),
    )
    return (Linear("router.proj", count, hidden),), tensors, moe


def block(c: Config, kind: Kind) -> Block:
    sizes = sizes_of(c, kind)
    hidden, slim = sizes.hidden, c.count("hidden_size_per_layer_input")
    size = c.size("intermediate_size") * (2 if kind.shared and c.flag("use_double_wide_mlp") else 1)
    linears = attention_linears(c, kind, sizes) + gated_mlp("mlp", hidden, size)
    tensors = rms_norm("self_attn.q_norm", sizes.head_dim)
    tensors += () if kind.shared else rms_norm("self_attn.k_norm", sizes.head_dim)
    tensors += tuple(t for name in FOUR_NORMS for t in rms_norm(name, hidden))
    mlp: Mlp | Moe = Mlp(size, True, c.text("hidden_activation"))
    num_norms = 4
    if slim:
        linears += (Linear("per_layer_input_gate", slim, hidden), Linear("per_layer_projection", hidden, slim))
        tensors += rms_norm("post_per_layer_input_norm", hidden)
        num_norms += 1
    if c.flag("enable_moe_block"):
        routing, more, mlp = experts(c, hidden, size)
        linears, tensors = linears + routing, tensors + more
        num_norms += 3
    return Block(
        prefix="",
        indices=(),
        linears=linears,
        tensors=tensors,
        attention=attention(c, kind, sizes),
        mlp=mlp,
        num_norms=num_norms,
        norm_order="both",
    )


def attention(c: Config, kind: Kind, sizes: Heads) -> Attention:
    size = None if kind.full else window(c)
    return Attention(
        kind="sliding" if size else "full",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        sliding_window=size,
        qk_norm="head",
        rotary_dim=sizes.head_dim,
        dropout=c.share("attention_dropout"),
    )


def per_layer_inputs(c: Config, root: str, hidden: int, num_layers: int) -> Body:
    """A second, wide embedding that feeds every layer a small input of its own."""
    slim = c.count("hidden_size_per_layer_input")
    if not slim:
        return Body()
    rows = c.size("vocab_size_per_layer_input")
    name = f"{root}.embed_tokens_per_layer"
    return Body(
        tensors=embedding(name, rows, num_layers * slim) + rms_norm(f"{root}.per_layer_projection_norm", slim),
        linears=(Linear(f"{root}.per_layer_model_projection", num_layers * slim, hidden),),
        buffers=(Tensor(f"{name}.embed_scale", ()),),
    )


def text_body(c: Config, root: str) -> Body:
    """The text model; each kind of layer has rotary buffers of its own."""
    hidden, kinds = c.size("hidden_size"), layer_kinds(c)
    scalars = tuple(Tensor(f"{root}.layers.{i}.layer_scalar", (1,)) for i in range(len(kinds)))
    dims = {kind.full: sizes_of(c, kind).head_dim for kind in kinds}
    frequencies = rotary(f"{root}.rotary_emb", dims[True], ("full_attention_",))
    if False in dims:
        frequencies += rotary(f"{root}.rotary_emb", dims[False], ("sliding_attention_",))
    body = Body(
        blocks=grouped(f"{root}.layers", kinds, lambda kind: block(c, kind)),
        tensors=embedding(f"{root}.embed_tokens", c.size("vocab_size"), hidden) + rms_norm(f"{root}.norm", hidden),
        buffers=(Tensor(f"{root}.embed_tokens.embed_scale", ()), *scalars, *frequencies),
    )
    return joined(body, per_layer_inputs(c, root, hidden, len(kinds)))


def head(c: Config, text: Config, body: Body, tied: bool) -> Architecture:
    softcap = text.get("final_logit_softcapping") is not None
    hidden, vocab = text.size("hidden_size"), text.size("vocab_size")
    return with_head(c, body, hidden=hidden, vocab=vocab, tied=tied, softcap=softcap)


def gemma4_text(given: Mapping[str, object]) -> Architecture:
    c = Config(given, TEXT_DEFAULTS)
    return head(c, c, text_body(c, "model"), c.flag("tie_word_embeddings"))


def gemma4(given: Mapping[str, object]) -> Architecture:
    """A tower is there when the config has a section for it.

    With a tied head the last projection is the model's last parameter: transformers keeps it out of quantization.
    """
    c = Config(given, {"tie_word_embeddings": True})
    text = Config(c.section("text_config"), TEXT_DEFAULTS, part="text_config.")
    hidden, tied = text.size("hidden_size"), c.flag("tie_word_embeddings")
    body = text_body(text, "model.language_model")
    if c.get("vision_config") is not None:
        seen = Config(c.section("vision_config"), VISION_DEFAULTS, part="vision_config.")
        kept = tied and c.get("audio_config") is None
        project = Linear(
            "model.embed_vision.embedding_projection", hidden, seen.size("hidden_size"), quantizable=not kept
        )
        body = joined(vision(seen, "model.vision_tower"), body, Body(linears=(project,)))
    if c.get("audio_config") is not None:
        heard = Config(c.section("audio_config"), AUDIO_DEFAULTS, part="audio_config.")
        width = heard.size("output_proj_dims")
        project = Linear("model.embed_audio.embedding_projection", hidden, width, quantizable=not tied)
        body = joined(body, audio(heard, "model.audio_tower"), Body(linears=(project,)))
    model = head(c, text, body, tied)
    return replace(model, config={**c.fields, "text_config": text.fields})


READERS = {"gemma4": gemma4, "gemma4_text": gemma4_text}
