"""DBRX: fused qkv, experts stacked in two dimensions. Defaults and shapes: transformers 5.23, models/dbrx."""

from collections.abc import Mapping

from planner.architecture.blocks import Architecture, Attention, Block, Linear, Moe, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import rotary_dim
from planner.architecture.experts import mixture
from planner.architecture.parts import Body, Heads, embedding, grouped, heads_of, layer_norm, rotary, with_head

DEFAULTS: dict[str, object] = {
    **{"d_model": 2048, "n_heads": 16, "n_layers": 24, "max_seq_len": 2048, "vocab_size": 32000},
    **{"resid_pdrop": 0.0, "emb_pdrop": 0.0, "attn_config": None, "ffn_config": None, "tie_word_embeddings": False},
}
ALIASES = {
    "num_attention_heads": "n_heads",
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "max_position_embeddings": "max_seq_len",
}
ATTENTION_DEFAULTS: dict[str, object] = {"attn_pdrop": 0.0, "kv_n_heads": 1}
FFN_DEFAULTS: dict[str, object] = {"ffn_hidden_size": 3584, "moe_num_experts": 4, "moe_top_k": 1}


def experts(c: Config) -> Moe:
    """The counts of ffn_config; its activation is an object with a name."""
    given = c.section("ffn_config")
    ffn = Config(given, FFN_DEFAULTS, part="ffn_config.")
    act = Config(ffn.section("ffn_act_fn"), {"name": "silu"}, part="ffn_config.ffn_act_fn.")
    ffn.fields["activation"] = act.text("name")
    moe = mixture(ffn, "moe_num_experts", "ffn_hidden_size", top_k="moe_top_k", activation="activation")
    return moe._replace(looped=True)


def attention_of(c: Config) -> tuple[Heads, Attention]:
    given = Config(c.section("attn_config"), ATTENTION_DEFAULTS, part="attn_config.")
    sizes = heads_of(c, "d_model", "n_heads", None, None)
    kv_heads = given.size("kv_n_heads")
    if sizes.heads % kv_heads:
        given.refuse("kv_n_heads", f"must divide n_heads={sizes.heads}")
    attention = Attention(
        kind="full",
        num_heads=sizes.heads,
        num_key_value_heads=kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        fused="qkv",
        rotary_dim=rotary_dim(c, sizes.head_dim, None),
        dropout=given.share("attn_pdrop"),
    )
    return Heads(sizes.hidden, sizes.heads, kv_heads, sizes.head_dim), attention


def dbrx(given: Mapping[str, object]) -> Architecture:
    c = Config(given, DEFAULTS, ALIASES)
    if c.flag("tie_word_embeddings"):
        c.refuse("tie_word_embeddings", "must be false for dbrx")
    sizes, attention = attention_of(c)
    hidden, vocab, moe = sizes.hidden, c.size("vocab_size"), experts(c)
    prefix, stack = "norm_attn_norm", (moe.num_experts * moe.intermediate_size, hidden)
    linears = (
        Linear(f"{prefix}.attn.Wqkv", sizes.q_size + 2 * sizes.kv_size, hidden),
        Linear(f"{prefix}.attn.out_proj", hidden, hidden),
        Linear("ffn.router.layer", moe.num_experts, hidden),
    )
    weights = tuple(Tensor(f"ffn.experts.mlp.{name}", stack, "experts") for name in ("w1", "v1", "w2"))
    norms = layer_norm(f"{prefix}.norm_1", hidden, False) + layer_norm(f"{prefix}.norm_2", hidden, False)
    block = Block("", (), linears, norms + weights, attention, moe, "layer", residual_dropout=c.share("resid_pdrop"))
    body = Body(
        blocks=grouped("transformer.blocks", [0] * c.layers("n_layers"), lambda _: block),
        tensors=embedding("transformer.wte", vocab, hidden) + layer_norm("transformer.norm_f", hidden, False),
        buffers=rotary("transformer.rotary_emb", attention.rotary_dim),
    )
    return with_head(c, body, hidden=hidden, vocab=vocab, tied=False)


READERS = {"dbrx": dbrx}
