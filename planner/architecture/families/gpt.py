"""GPT-2 and what follows its shape: learned or interleaved rotary positions, LayerNorm, a plain MLP with biases.

Defaults and shapes: transformers 5.23, models/{gpt2, gpt_bigcode, gptj, gpt_neo, gpt_neox}.
"""

from collections.abc import Mapping
from typing import Literal

from planner.architecture.blocks import Architecture, Attention, Block, Linear, LinearClass, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import rotary_dim
from planner.architecture.parts import (
    Body,
    Heads,
    embedding,
    grouped,
    heads_of,
    joined,
    layer_norm,
    plain_mlp,
    positions,
    rotary,
    with_head,
)

GPT2_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
GPT2_DEFAULTS: dict[str, object] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def attention(
    sizes: Heads,
    position: Literal["rope", "alibi", "learned"],
    dropout: float,
    fused: Literal["none", "qkv"] = "qkv",
    rotated: int = 0,
    window: int | None = None,
) -> Attention:
    return Attention(
        kind="sliding" if window else "full",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        sliding_window=window,
        fused=fused,
        position=position,
        rotary_dim=rotated,
        dropout=dropout,
    )


def layer(
    linears: tuple[Linear, ...],
    tensors: tuple[Tensor, ...],
    mixer: Attention,
    mlp: Mlp,
    dropout: float = 0.0,
    parallel: bool = False,
    num_norms: int = 2,
    norm_order: Literal["pre", "post"] = "pre",
) -> Block:
    """A layer with LayerNorm; grouped() puts prefix and indices in."""
    return Block(
        prefix="",
        indices=(),
        linears=linears,
        tensors=tensors,
        attention=mixer,
        mlp=mlp,
        norm="layer",
        parallel=parallel,
        residual_dropout=dropout,
        num_norms=num_norms,
        norm_order=norm_order,
    )


def language_model(c: Config, body: Body, hidden: int, dropout: str = "", head_bias: bool = False) -> Architecture:
    return with_head(
        c,
        body,
        hidden=hidden,
        vocab=c.size("vocab_size"),
        tied=c.flag("tie_word_embeddings"),
        embedding_dropout=c.share(dropout) if dropout else 0.0,
        head_bias=head_bias,
    )


def gpt2_sizes(c: Config, kv_heads: int | None = None) -> Heads:
    sizes = heads_of(c, "n_embd", "n_head", None, None)
    return Heads(sizes.hidden, sizes.heads, kv_heads or sizes.heads, sizes.head_dim)


def no_cross_attention(c: Config) -> None:
    if c.flag("add_cross_attention"):
        c.refuse("add_cross_attention", "must be false: decoders of an encoder-decoder are not read")


def gpt2_body(c: Config, sizes: Heads, cls: LinearClass) -> Body:
    """gpt2 (Conv1D) and gpt_bigcode (Linear): c_attn, c_proj, c_fc, c_proj."""
    no_cross_attention(c)
    hidden = sizes.hidden
    inner = c.optional_size("n_inner") or 4 * hidden
    linears = (
        Linear("attn.c_attn", sizes.q_size + 2 * sizes.kv_size, hidden, True, cls),
        Linear("attn.c_proj", hidden, hidden, True, cls),
        Linear("mlp.c_fc", inner, hidden, True, cls),
        Linear("mlp.c_proj", hidden, inner, True, cls),
    )
    block = layer(
        linears,
        layer_norm("ln_1", hidden) + layer_norm("ln_2", hidden),
        attention(sizes, "learned", c.share("attn_pdrop")),
        Mlp(inner, False, c.text("activation_function")),
        c.share("resid_pdrop"),
    )
    return Body(
        blocks=grouped("transformer.h", [0] * c.layers("n_layer"), lambda _: block),
        tensors=embedding("transformer.wte", c.size("vocab_size"), hidden)
        + positions("transformer.wpe", c.size("n_positions"), hidden)
        + layer_norm("transformer.ln_f", hidden),
    )


def gpt2(given: Mapping[str, object]) -> Architecture:
    c = Config(given, GPT2_DEFAULTS, GPT2_ALIASES)
    sizes = gpt2_sizes(c)
    return language_model(c, gpt2_body(c, sizes, "Conv1D"), sizes.hidden, "embd_pdrop")


def gpt_bigcode(given: Mapping[str, object]) -> Architecture:
    """One key-value head unless multi_query is off, and a mask for all positions."""
    defaults = {**GPT2_DEFAULTS, "activation_function": "gelu_pytorch_tanh", "multi_query": True}
    c = Config(given, defaults, GPT2_ALIASES)
    sizes = gpt2_sizes(c, 1 if c.flag("multi_query") else None)
    length = c.size("n_positions")
    mask = Body(buffers=(Tensor("transformer.bias", (length, length), dtype="bool"),))
    return language_model(c, joined(gpt2_body(c, sizes, "Linear"), mask), sizes.hidden, "embd_pdrop")


def gptj(given: Mapping[str, object]) -> Architecture:
    """Attention and MLP in parallel; one table of sines and cosines."""
    defaults = {
        **GPT2_DEFAULTS,
        **{"vocab_size": 50400, "n_positions": 2048, "n_embd": 4096, "n_layer": 28, "n_head": 16, "rotary_dim": 64},
        **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "tie_word_embeddings": False},
    }
    c = Config(given, defaults, GPT2_ALIASES)
    sizes = gpt2_sizes(c)
    hidden, num_layers = sizes.hidden, c.layers("n_layer")
    rotated = c.optional_size("rotary_dim")
    inner = c.optional_size("n_inner") or 4 * hidden
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    linears = tuple(Linear(f"attn.{name}", hidden, hidden) for name in names)
    block = layer(
        linears + plain_mlp("mlp.fc_in", "mlp.fc_out", hidden, inner),
        layer_norm("ln_1", hidden),
        attention(sizes, "rope", c.share("attn_pdrop"), "none", rotated or sizes.head_dim),
        Mlp(inner, False, c.text("activation_function")),
        c.share("resid_pdrop"),
        parallel=True,
        num_norms=1,
    )
    table = (c.size("n_positions"), (rotated or hidden) // 2 * 2)
    body = Body(
        blocks=grouped("transformer.h", [0] * num_layers, lambda _: block),
        tensors=embedding("transformer.wte", c.size("vocab_size"), hidden) + layer_norm("transformer.ln_f", hidden),
        buffers=(Tensor("transformer.rotary_emb.embed_positions", table, "position", "float32"),),
    )
    return language_model(c, body, hidden, "embd_pdrop", head_bias=True)


def gpt_neo_windows(c: Config) -> list[int | None]:
    """attention_types [[["global", "local"], 12]] spelled out: a window for each local layer."""
    types, num_layers = c.get("attention_types"), c.layers("num_layers")
    rule = f'must be like [[["global", "local"], 6]] and spell out {num_layers} layers'
    found: list[str] = []
    for item in types if isinstance(types, list) else []:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], list):
            c.refuse("attention_types", rule)
        kinds, times = item
        fits = isinstance(times, int) and not isinstance(times, bool) and 0 < times * len(kinds) <= num_layers
        if not fits or len(found) > num_layers:
            c.refuse("attention_types", rule)
        found += kinds * times
    if len(found) != num_layers or not all(kind in ("global", "local") for kind in found):
        c.refuse("attention_types", rule)
    return [c.size("window_size") if kind == "local" else None for kind in found]


def gpt_neo(given: Mapping[str, object]) -> Architecture:
    """Global and local layers in turn; each layer keeps its mask for all positions."""
    defaults: dict[str, object] = {
        **{"vocab_size": 50257, "max_position_embeddings": 2048, "hidden_size": 2048, "num_layers": 24},
        **{"attention_types": [[["global", "local"], 12]], "num_heads": 16, "intermediate_size": None},
        **{"window_size": 256, "activation_function": "gelu_new", "tie_word_embeddings": True},
        **{"resid_dropout": 0.0, "embed_dropout": 0.0, "attention_dropout": 0.0},
    }
    c = Config(given, defaults, {"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"})
    sizes = heads_of(c, heads="num_heads", kv_heads=None, head_dim=None)
    hidden = sizes.hidden
    inner = c.optional_size("intermediate_size") or 4 * hidden
    names = (("q_proj", False), ("k_proj", False), ("v_proj", False), ("out_proj", True))
    linears = tuple(Linear(f"attn.attention.{name}", hidden, hidden, bias) for name, bias in names)

    def make(window: int | None) -> Block:
        return layer(
            linears + plain_mlp("mlp.c_fc", "mlp.c_proj", hidden, inner),
            layer_norm("ln_1", hidden) + layer_norm("ln_2", hidden),
            attention(sizes, "learned", c.share("attention_dropout"), "none", window=window),
            Mlp(inner, False, c.text("activation_function")),
            c.share("resid_dropout"),
        )

    windows = gpt_neo_windows(c)
    length = c.size("max_position_embeddings")
    masks = tuple(f"transformer.h.{i}.attn.attention.bias" for i in range(len(windows)))
    body = Body(
        blocks=grouped("transformer.h", windows, make),
        tensors=embedding("transformer.wte", c.size("vocab_size"), hidden)
        + positions("transformer.wpe", length, hidden)
        + layer_norm("transformer.ln_f", hidden),
        buffers=tuple(Tensor(name, (1, 1, length, length), dtype="bool") for name in masks),
    )
    return language_model(c, body, hidden, "embed_dropout")


def gpt_neox(given: Mapping[str, object]) -> Architecture:
    """Fused qkv, rotary on a quarter of each head, attention and MLP in parallel."""
    defaults: dict[str, object] = {
        **{"vocab_size": 50432, "hidden_size": 6144, "num_hidden_layers": 44, "num_attention_heads": 64},
        **{"intermediate_size": 24576, "hidden_act": "gelu", "max_position_embeddings": 2048, "head_dim": None},
        **{"attention_dropout": 0.0, "hidden_dropout": 0.0, "tie_word_embeddings": False},
        **{"use_parallel_residual": True, "attention_bias": True, "rotary_pct": 0.25},
    }
    c = Config(given, defaults)
    sizes = heads_of(c, kv_heads=None, head_dim=None)
    hidden, inner, bias = sizes.hidden, c.size("intermediate_size"), c.flag("attention_bias")
    rotated = rotary_dim(c, sizes.head_dim, c.share("rotary_pct"))
    linears = (
        Linear("attention.query_key_value", 3 * hidden, hidden, bias),
        Linear("attention.dense", hidden, hidden, bias),
    )
    block = layer(
        linears + plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", hidden, inner),
        layer_norm("input_layernorm", hidden) + layer_norm("post_attention_layernorm", hidden),
        attention(sizes, "rope", c.share("attention_dropout"), rotated=rotated),
        Mlp(inner, False, c.text("hidden_act")),
        c.share("hidden_dropout"),
        parallel=c.flag("use_parallel_residual"),
    )
    body = Body(
        blocks=grouped("gpt_neox.layers", [0] * c.layers(), lambda _: block),
        tensors=embedding("gpt_neox.embed_in", c.size("vocab_size"), hidden)
        + layer_norm("gpt_neox.final_layer_norm", hidden),
        buffers=rotary("gpt_neox.rotary_emb", rotated),
    )
    return language_model(c, body, hidden, "hidden_dropout")


READERS = {"gpt2": gpt2, "gpt_bigcode": gpt_bigcode, "gptj": gptj, "gpt_neo": gpt_neo, "gpt_neox": gpt_neox}
