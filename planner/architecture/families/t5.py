"""T5 and mT5: an encoder and a decoder with cross-attention, relative positions, one embedding for both.

Defaults and shapes: transformers 5.23, models/{t5, mt5}. A model built from a config always ties the head to the
embedding; a checkpoint whose config says tie_word_embeddings=false (T5 1.1, flan-t5, mT5) holds a head of its own,
and from_pretrained leaves it untied. The reader follows the checkpoint.
"""

from collections.abc import Mapping
from functools import partial

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.parts import Body, Heads, embedding, grouped, heads_of, rms_norm, with_head

ALIASES = {
    "hidden_size": "d_model",
    "num_attention_heads": "num_heads",
    "num_hidden_layers": "num_layers",
    "head_dim": "d_kv",
}
T5_DEFAULTS: dict[str, object] = {
    **{"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_decoder_layers": None},
    **{"num_heads": 8, "relative_attention_num_buckets": 32, "dropout_rate": 0.1, "feed_forward_proj": "relu"},
    "tie_word_embeddings": True,
}
MT5_DEFAULTS: dict[str, object] = {
    **T5_DEFAULTS,
    **{"vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6, "feed_forward_proj": "gated-gelu"},
}


def activation(c: Config) -> tuple[str, bool]:
    """("gelu_new", True) for "gated-gelu"."""
    words = c.text("feed_forward_proj").split("-")
    if len(words) > 2 or (len(words) == 2 and words[0] != "gated"):
        c.refuse("feed_forward_proj", 'must be an activation or "gated-" and an activation')
    gated = words[0] == "gated"
    return ("gelu_new" if c.get("feed_forward_proj") == "gated-gelu" else words[-1]), gated


def attention(c: Config, sizes: Heads, kind: str) -> Attention:
    layer = Attention(
        kind="full",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        position="relative",
        dropout=c.share("dropout_rate"),
    )
    if kind == "encoder":
        return layer._replace(kind="bidirectional")
    return layer._replace(kind="cross", position="none") if kind == "cross" else layer


def projections(prefix: str, sizes: Heads) -> tuple[Linear, ...]:
    queries = tuple(Linear(f"{prefix}.{name}", sizes.q_size, sizes.hidden) for name in "qkv")
    return (*queries, Linear(f"{prefix}.o", sizes.hidden, sizes.q_size))


def feed_forward(c: Config, at: int, hidden: int) -> tuple[tuple[Linear, ...], Mlp]:
    """wi, or wi_0 and wi_1, and wo, which transformers keeps out of quantization."""
    inner = c.size("d_ff")
    act, gated = activation(c)
    prefix = f"layer.{at}.DenseReluDense"
    names = ("wi_0", "wi_1") if gated else ("wi",)
    ups = tuple(Linear(f"{prefix}.{name}", inner, hidden) for name in names)
    down = Linear(f"{prefix}.wo", hidden, inner, quantizable=False)
    return (*ups, down), Mlp(inner, gated, act, dropout=c.share("dropout_rate"))


def block(c: Config, sizes: Heads, decoder: bool, first: bool) -> Block:
    """Self-attention, in the decoder cross-attention, then the MLP; the first layer holds the position biases."""
    parts = 3 if decoder else 2
    linears = projections("layer.0.SelfAttention", sizes)
    if decoder:
        linears += projections("layer.1.EncDecAttention", sizes)
    ups, mlp = feed_forward(c, parts - 1, sizes.hidden)
    buckets = (c.size("relative_attention_num_buckets"), sizes.heads)
    bias = (Tensor("layer.0.SelfAttention.relative_attention_bias.weight", buckets, "position"),) if first else ()
    return Block(
        prefix="",
        indices=(),
        linears=linears + ups,
        tensors=bias + tuple(t for i in range(parts) for t in rms_norm(f"layer.{i}.layer_norm", sizes.hidden)),
        attention=attention(c, sizes, "decoder" if decoder else "encoder"),
        mlp=mlp,
        residual_dropout=c.share("dropout_rate"),
        num_norms=parts,
        cross_attention=attention(c, sizes, "cross") if decoder else None,
    )


def t5(given: Mapping[str, object], defaults: Mapping[str, object]) -> Architecture:
    c = Config(given, defaults, ALIASES)
    sizes = heads_of(c, "d_model", "num_heads", None, "d_kv")
    hidden, vocab = sizes.hidden, c.size("vocab_size")
    encoder = c.layers("num_layers")
    decoder = encoder if c.get("num_decoder_layers") is None else c.layers("num_decoder_layers")
    body = Body(
        blocks=grouped("encoder.block", [i == 0 for i in range(encoder)], lambda x: block(c, sizes, False, x))
        + grouped("decoder.block", [i == 0 for i in range(decoder)], lambda x: block(c, sizes, True, x)),
        tensors=embedding("shared", vocab, hidden)
        + rms_norm("encoder.final_layer_norm", hidden)
        + rms_norm("decoder.final_layer_norm", hidden),
    )
    return with_head(
        c,
        body,
        hidden=hidden,
        vocab=vocab,
        tied=c.flag("tie_word_embeddings"),
        embedding_dropout=c.share("dropout_rate"),
    )


READERS = {"t5": partial(t5, defaults=T5_DEFAULTS), "mt5": partial(t5, defaults=MT5_DEFAULTS)}
