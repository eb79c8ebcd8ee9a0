"""BERT and RoBERTa with their masked-language head, ViT with its classifier.

Defaults and shapes: transformers 5.23, models/{bert, roberta, vit}.
"""

from collections.abc import Mapping
from dataclasses import replace

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.parts import (
    Body,
    Heads,
    conv,
    embedding,
    grouped,
    heads_of,
    layer_norm,
    plain_mlp,
    positions,
    projections,
    with_head,
)

BERT_DEFAULTS: dict[str, object] = {
    **{"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2},
    **{"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "tie_word_embeddings": True},
    **{"is_decoder": False, "add_cross_attention": False},
}


def attends_both_ways(c: Config, sizes: Heads) -> Attention:
    return Attention(
        kind="bidirectional",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        position="learned",
        dropout=c.share("attention_probs_dropout_prob"),
    )


def bert_block(c: Config, sizes: Heads) -> Block:
    """query, key, value, dense; each half ends in a norm."""
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    names = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    linears = tuple(Linear(name, hidden, hidden, True) for name in names)
    return Block(
        prefix="",
        indices=(),
        linears=linears + plain_mlp("intermediate.dense", "output.dense", hidden, inner),
        tensors=layer_norm("attention.output.LayerNorm", hidden) + layer_norm("output.LayerNorm", hidden),
        attention=attends_both_ways(c, sizes),
        mlp=Mlp(inner, False, c.text("hidden_act")),
        norm="layer",
        residual_dropout=c.share("hidden_dropout_prob"),
        norm_order="post",
    )


def bert_like(given: Mapping[str, object], root: str, defaults: Mapping[str, object], head: str) -> Architecture:
    """Embeddings of words, positions and segments, layers, and a transform before the decoder.

    The head has a bias beside its decoder's; the two are one where the head is tied.
    """
    c = Config(given, {**BERT_DEFAULTS, **defaults})
    if c.flag("add_cross_attention"):
        c.refuse("add_cross_attention", "must be false: decoders of an encoder-decoder are not read")
    sizes = heads_of(c, kv_heads=None, head_dim=None)
    hidden, vocab, length = sizes.hidden, c.size("vocab_size"), c.positions()
    transform, norm = ("transform.dense", "transform.LayerNorm") if root == "bert" else ("dense", "layer_norm")
    tied = c.flag("tie_word_embeddings")
    ids = (f"{root}.embeddings.position_ids", f"{root}.embeddings.token_type_ids")
    body = Body(
        blocks=grouped(f"{root}.encoder.layer", [0] * c.layers(), lambda _: bert_block(c, sizes)),
        tensors=embedding(f"{root}.embeddings.word_embeddings", vocab, hidden)
        + positions(f"{root}.embeddings.position_embeddings", length, hidden)
        + embedding(f"{root}.embeddings.token_type_embeddings", c.size("type_vocab_size"), hidden)
        + layer_norm(f"{root}.embeddings.LayerNorm", hidden)
        + layer_norm(f"{head}.{norm}", hidden)
        + (() if tied else (Tensor(f"{head}.bias", (vocab,)),)),
        linears=(Linear(f"{head}.{transform}", hidden, hidden, True),),
        buffers=tuple(Tensor(name, (1, length), dtype="int64") for name in ids),
    )
    return with_head(
        c,
        body,
        hidden=hidden,
        vocab=vocab,
        tied=tied,
        head=f"{head}.decoder",
        head_bias=True,
        embedding_dropout=c.share("hidden_dropout_prob"),
    )


def bert(given: Mapping[str, object]) -> Architecture:
    return bert_like(given, "bert", {}, "cls.predictions")


def roberta(given: Mapping[str, object]) -> Architecture:
    return bert_like(given, "roberta", {"vocab_size": 50265}, "lm_head")


def vit_block(c: Config, sizes: Heads) -> Block:
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    return Block(
        prefix="",
        indices=(),
        linears=projections("attention", sizes, c.flag("qkv_bias"), True)
        + plain_mlp("mlp.fc1", "mlp.fc2", hidden, inner),
        tensors=layer_norm("layernorm_before", hidden) + layer_norm("layernorm_after", hidden),
        attention=attends_both_ways(c, sizes),
        mlp=Mlp(inner, False, c.text("hidden_act")),
        norm="layer",
        residual_dropout=c.share("hidden_dropout_prob"),
    )


def num_labels(c: Config) -> int:
    """As many as id2label names, else num_labels."""
    labels = c.get("id2label")
    if labels is None:
        return c.size("num_labels")
    if not isinstance(labels, dict) or not labels:
        c.refuse("id2label", "must be an object with one entry for each label")
    return len(labels)


def vit(given: Mapping[str, object]) -> Architecture:
    """Patches through a convolution, a class token, learned positions, a classifier on top."""
    defaults: dict[str, object] = {
        **{"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
        **{"hidden_act": "gelu", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        **{"image_size": 224, "patch_size": 16, "num_channels": 3, "qkv_bias": True, "num_labels": 2},
    }
    c = Config(given, defaults)
    sizes = heads_of(c, kv_heads=None, head_dim=None)
    hidden, patch = sizes.hidden, c.size("patch_size")
    patches = (c.size("image_size") // patch) ** 2
    body = Body(
        blocks=grouped("vit.layers", [0] * c.layers(), lambda _: vit_block(c, sizes)),
        tensors=(
            Tensor("vit.embeddings.cls_token", (1, 1, hidden), "embedding"),
            Tensor("vit.embeddings.position_embeddings", (1, patches + 1, hidden), "position"),
            *conv("vit.embeddings.patch_embeddings.projection", (hidden, c.size("num_channels"), patch, patch), True),
            *layer_norm("vit.layernorm", hidden),
        ),
    )
    model = with_head(
        c,
        body,
        hidden=hidden,
        vocab=num_labels(c),
        tied=False,
        head="classifier",
        head_bias=True,
        embedding_dropout=c.share("hidden_dropout_prob"),
    )
    return replace(model, head=Linear("classifier", num_labels(c), hidden, True))


READERS = {"bert": bert, "roberta": roberta, "vit": vit}
