"""Multi-head latent attention: queries and keys from low-rank latents, a rotary part beside the rest of each head.

Defaults and shapes: transformers 5.23, models/{deepseek_v2, deepseek_v3}; kimi_k2 is deepseek_v3 by another name.
"""

from functools import partial

from planner.architecture.blocks import Attention, Linear
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Mixer, Part, Style, decided, decoder, gated, rotary_dim
from planner.architecture.families.moe import correction_biases, dense_first, routed_with_shared
from planner.architecture.families.shared import defaults
from planner.architecture.parts import rms_norm


def latent(c: Config, style: Style, layer: Layer) -> Mixer:
    """q_proj or q_a_proj and q_b_proj, kv_a_proj_with_mqa and kv_b_proj, o_proj."""
    hidden, heads = c.size("hidden_size"), c.size("num_attention_heads")
    nope, rope, value = c.size("qk_nope_head_dim"), c.size("qk_rope_head_dim"), c.size("v_head_dim")
    q_rank, kv_rank, bias = c.optional_size("q_lora_rank"), c.size("kv_lora_rank"), c.flag("attention_bias")
    q_size = heads * (nope + rope)
    queries: tuple[Linear, ...] = (Linear("self_attn.q_proj", q_size, hidden),)
    norms = rms_norm("self_attn.kv_a_layernorm", kv_rank)
    if q_rank is not None:
        queries = (
            Linear("self_attn.q_a_proj", q_rank, hidden, bias),
            Linear("self_attn.q_b_proj", q_size, q_rank),
        )
        norms = rms_norm("self_attn.q_a_layernorm", q_rank) + norms
    linears = (
        *queries,
        Linear("self_attn.kv_a_proj_with_mqa", kv_rank + rope, hidden, bias),
        Linear("self_attn.kv_b_proj", heads * (nope + value), kv_rank),
        Linear("self_attn.o_proj", hidden, heads * value, bias),
    )
    attention = Attention(
        kind="mla",
        num_heads=heads,
        num_key_value_heads=heads,
        head_dim=nope + rope,
        v_head_dim=value,
        rotary_dim=rotary_dim(c, rope, style.partial_rotary),
        kv_lora_rank=kv_rank,
        q_lora_rank=q_rank or 0,
        dropout=c.share("attention_dropout"),
    )
    return Mixer(linears, norms, attention)


def deepseek_v2_mlp(c: Config, style: Style, layer: Layer) -> Part:
    """As deepseek_v3, with mlp_bias on the dense and the shared MLP."""
    if not layer.sparse:
        return gated(c, style, layer)
    part = routed_with_shared(c, style, layer)
    bias = decided(c, style.mlp_bias)
    return part._replace(linears=tuple(Linear(x.name, x.out_features, x.in_features, bias) for x in part.linears))


LATENT: dict[str, object] = {
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
DEEPSEEK_V3 = Style(
    defaults=defaults(
        *(129280, 7168, 18432, 61, 128),
        moe_intermediate_size=2048,
        n_shared_experts=1,
        n_routed_experts=256,
        num_experts_per_tok=8,
        first_k_dense_replace=3,
        norm_topk_prob=True,
        n_group=8,
        topk_group=4,
        **LATENT,
    ),
    aliases={"num_local_experts": "n_routed_experts"},
    mixer=latent,
    layers=dense_first,
    mlp=routed_with_shared,
    rope_width="qk_rope_head_dim",
    buffers=correction_biases("mlp.gate"),
)
DEEPSEEK_V2 = Style(
    defaults=defaults(
        *(102400, 4096, 11008, 32, 32),
        mlp_bias=False,
        moe_intermediate_size=1407,
        n_shared_experts=2,
        n_routed_experts=64,
        num_experts_per_tok=None,
        first_k_dense_replace=0,
        n_group=None,
        topk_group=None,
        topk_method="greedy",
        **LATENT,
    ),
    aliases={"num_experts": "n_routed_experts"},
    mlp_bias="mlp_bias",
    mixer=latent,
    layers=dense_first,
    mlp=deepseek_v2_mlp,
    rope_width="qk_rope_head_dim",
)

READERS = {
    "deepseek_v2": partial(decoder, style=DEEPSEEK_V2),
    "deepseek_v3": partial(decoder, style=DEEPSEEK_V3),
    "kimi_k2": partial(decoder, style=DEEPSEEK_V3),
}
