"""OPT, BLOOM, Falcon and MPT. Defaults and shapes: transformers 5.23, models/{opt, bloom, falcon, mpt}."""

from collections.abc import Mapping

from planner.architecture.blocks import Architecture, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import rotary_dim
from planner.architecture.families.gpt import attention, language_model, layer
from planner.architecture.parts import (
    Body,
    Heads,
    embedding,
    grouped,
    heads_of,
    layer_norm,
    plain_mlp,
    positions,
    rotary,
    with_head,
)


def opt(given: Mapping[str, object]) -> Architecture:
    """Learned positions with an offset of 2; opt-350m embeds at half the width and norms after each part."""
    defaults: dict[str, object] = {
        **{"vocab_size": 50272, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
        **{"ffn_dim": 3072, "max_position_embeddings": 2048, "word_embed_proj_dim": None, "enable_bias": True},
        **{"do_layer_norm_before": True, "_remove_final_layer_norm": False, "layer_norm_elementwise_affine": True},
        **{"dropout": 0.1, "attention_dropout": 0.0, "activation_function": "relu", "tie_word_embeddings": True},
    }
    c = Config(given, defaults)
    sizes = heads_of(c, kv_heads=None, head_dim=None)
    hidden, width = sizes.hidden, c.optional_size("word_embed_proj_dim") or sizes.hidden
    before = c.flag("do_layer_norm_before")
    final = before and not c.flag("_remove_final_layer_norm")
    tied = c.flag("tie_word_embeddings")

    def make(kept: bool) -> Block:
        return layer(
            opt_linears(c, hidden, kept),
            opt_norm(c, "self_attn_layer_norm") + opt_norm(c, "final_layer_norm"),
            attention(sizes, "learned", c.share("attention_dropout"), "none"),
            Mlp(c.size("ffn_dim"), False, c.text("activation_function")),
            c.share("dropout"),
            norm_order="pre" if before else "post",
        )

    project = (
        Linear("model.decoder.project_out", width, hidden),
        Linear("model.decoder.project_in", hidden, width),
    )
    body = Body(
        blocks=grouped("model.decoder.layers", opt_kept(c, c.layers()), make),
        tensors=embedding("model.decoder.embed_tokens", c.size("vocab_size"), width)
        + positions("model.decoder.embed_positions", c.positions() + 2, hidden)
        + (opt_norm(c, "model.decoder.final_layer_norm") if final else ()),
        linears=project if width != hidden else (),
    )
    return with_head(c, body, hidden=hidden, vocab=c.size("vocab_size"), tied=tied, head_width=width)


def opt_norm(c: Config, name: str) -> tuple[Tensor, ...]:
    return layer_norm(name, c.size("hidden_size")) if c.flag("layer_norm_elementwise_affine") else ()


def opt_kept(c: Config, num_layers: int) -> list[bool]:
    """True for the last layer where its fc2 is the model's last parameter: quantization leaves that one out."""
    plain = not c.flag("enable_bias") and not c.flag("layer_norm_elementwise_affine")
    return [plain and c.flag("tie_word_embeddings") and i == num_layers - 1 for i in range(num_layers)]


def opt_linears(c: Config, hidden: int, kept: bool) -> tuple[Linear, ...]:
    bias, inner = c.flag("enable_bias"), c.size("ffn_dim")
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    projections = tuple(Linear(f"self_attn.{name}", hidden, hidden, bias) for name in names)
    down = Linear("fc2", hidden, inner, bias, quantizable=not kept)
    return (*projections, Linear("fc1", inner, hidden, bias), down)


def bloom(given: Mapping[str, object]) -> Architecture:
    """ALiBi, fused qkv, a norm right after the embedding."""
    defaults: dict[str, object] = {
        **{"vocab_size": 250880, "hidden_size": 64, "n_layer": 2, "n_head": 8, "tie_word_embeddings": True},
        **{"hidden_dropout": 0.0, "attention_dropout": 0.0},
    }
    aliases = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "n_embed": "hidden_size"}
    c = Config(given, defaults, aliases)
    sizes = heads_of(c, heads="n_head", kv_heads=None, head_dim=None)
    hidden = sizes.hidden
    linears = (
        Linear("self_attention.query_key_value", 3 * hidden, hidden, True),
        Linear("self_attention.dense", hidden, hidden, True),
    )
    block = layer(
        linears + plain_mlp("mlp.dense_h_to_4h", "mlp.dense_4h_to_h", hidden, 4 * hidden),
        layer_norm("input_layernorm", hidden) + layer_norm("post_attention_layernorm", hidden),
        attention(sizes, "alibi", c.share("attention_dropout")),
        Mlp(4 * hidden, False, "gelu"),
        c.share("hidden_dropout"),
    )
    body = Body(
        blocks=grouped("transformer.h", [0] * c.layers("n_layer"), lambda _: block),
        tensors=embedding("transformer.word_embeddings", c.size("vocab_size"), hidden)
        + layer_norm("transformer.word_embeddings_layernorm", hidden)
        + layer_norm("transformer.ln_f", hidden),
    )
    return language_model(c, body, hidden)


def mpt(given: Mapping[str, object]) -> Architecture:
    """ALiBi, fused qkv, no biases; transformers takes 4 x d_model for the MLP whatever expansion_ratio says.

    no_bias=false marks llm-foundry's own models (mpt-125m to mpt-70b): biases, and learned positions unless
    attn_config asks for ALiBi. transformers' class knows neither.
    """
    defaults: dict[str, object] = {
        **{"d_model": 2048, "n_heads": 16, "n_layers": 24, "vocab_size": 50368, "max_seq_len": 2048},
        **{"resid_pdrop": 0.0, "emb_pdrop": 0.0, "attn_config": None, "no_bias": True, "tie_word_embeddings": True},
    }
    aliases = {"num_attention_heads": "n_heads", "hidden_size": "d_model", "num_hidden_layers": "n_layers"}
    c = Config(given, defaults, aliases)
    bias = not c.flag("no_bias")
    attends = Config(c.section("attn_config"), {"attn_pdrop": 0.0, "alibi": not bias}, part="attn_config.")
    sizes = heads_of(c, "d_model", "n_heads", None, None)
    hidden, alibi = sizes.hidden, attends.flag("alibi") or not bias
    linears = (Linear("attn.Wqkv", 3 * hidden, hidden, bias), Linear("attn.out_proj", hidden, hidden, bias))
    block = layer(
        linears + plain_mlp("ffn.up_proj", "ffn.down_proj", hidden, 4 * hidden, bias),
        layer_norm("norm_1", hidden, bias) + layer_norm("norm_2", hidden, bias),
        attention(sizes, "alibi" if alibi else "learned", attends.share("attn_pdrop")),
        Mlp(4 * hidden, False, "gelu"),
        c.share("resid_pdrop"),
    )
    body = Body(
        blocks=grouped("transformer.blocks", [0] * c.layers("n_layers"), lambda _: block),
        tensors=embedding("transformer.wte", c.size("vocab_size"), hidden)
        + (() if alibi else positions("transformer.wpe", c.size("max_seq_len"), hidden))
        + layer_norm("transformer.norm_f", hidden, bias),
    )
    return language_model(c, body, hidden)


def falcon_sizes(c: Config) -> Heads:
    """One key-value head with multi_query, num_kv_heads in the new architecture, all heads else."""
    sizes = heads_of(c, kv_heads="num_kv_heads", head_dim=None)
    new, multi_query = c.flag("new_decoder_architecture"), c.flag("multi_query")
    kv_heads = sizes.kv_heads if new else 1 if multi_query else sizes.heads
    return Heads(sizes.hidden, sizes.heads, kv_heads, sizes.head_dim)


def falcon_norms(c: Config) -> tuple[str, ...]:
    """input_layernorm alone where attention and MLP are parallel, ln_attn and ln_mlp in the new architecture."""
    if not c.flag("parallel_attn"):
        return ("post_attention_layernorm", "input_layernorm")
    count = c.optional_size("num_ln_in_parallel_attn") or (2 if c.flag("new_decoder_architecture") else 1)
    return ("ln_attn", "ln_mlp") if count == 2 else ("input_layernorm",)


def falcon(given: Mapping[str, object]) -> Architecture:
    """All linears of the layers are FalconLinear, a subclass that bitsandbytes leaves alone."""
    defaults: dict[str, object] = {
        **{"vocab_size": 65024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71},
        **{"num_ln_in_parallel_attn": None, "num_kv_heads": None, "ffn_hidden_size": None, "activation": "gelu"},
        **{"alibi": False, "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True},
        **{"bias": False, "hidden_dropout": 0.0, "attention_dropout": 0.0, "tie_word_embeddings": True},
    }
    c = Config(given, defaults, {"n_embed": "hidden_size"})
    sizes = falcon_sizes(c)
    hidden, inner, bias = sizes.hidden, c.optional_size("ffn_hidden_size") or 4 * sizes.hidden, c.flag("bias")
    names = falcon_norms(c)
    alibi = c.flag("alibi")
    rotated = rotary_dim(c, sizes.head_dim, None)
    linears = (
        Linear("self_attention.query_key_value", sizes.q_size + 2 * sizes.kv_size, hidden, bias, "subclass"),
        Linear("self_attention.dense", hidden, hidden, bias, "subclass"),
        Linear("mlp.dense_h_to_4h", inner, hidden, bias, "subclass"),
        Linear("mlp.dense_4h_to_h", hidden, inner, bias, "subclass"),
    )
    block = layer(
        linears,
        tuple(t for name in names for t in layer_norm(name, hidden)),
        attention(sizes, "alibi" if alibi else "rope", c.share("attention_dropout"), rotated=0 if alibi else rotated),
        Mlp(inner, False, c.text("activation")),
        c.share("hidden_dropout"),
        parallel=c.flag("new_decoder_architecture") or c.flag("parallel_attn"),
        num_norms=len(names),
    )
    body = Body(
        blocks=grouped("transformer.h", [0] * c.layers(), lambda _: block),
        tensors=embedding("transformer.word_embeddings", c.size("vocab_size"), hidden)
        + layer_norm("transformer.ln_f", hidden),
        buffers=rotary("transformer.rotary_emb", rotated),
    )
    return language_model(c, body, hidden)


READERS = {"opt": opt, "bloom": bloom, "mpt": mpt, "falcon": falcon}
