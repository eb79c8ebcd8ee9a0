"""Random requests: small and large configs of the mirrored families, models of the catalogue, every setting."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from planner.catalog import list_models
from planner.optimizers import OPTIMIZERS

Fields = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

HEAD_DIMS = (8, 16, 32, 64, 128)
VOCABULARIES = st.one_of(st.integers(17, 5_000), st.integers(5_000, 300_000))
DROPOUTS = st.sampled_from((0.0, 0.1))
#: PEFT refuses to adapt all linears of these (tests/planner/memory/test_peft_counts.py).
NO_ALL_LINEAR = ("mamba", "nemotron_h")
CATALOGUE = tuple(row.id for row in list_models() if row.model_type not in NO_ALL_LINEAR)
#: Adapters of these families' experts can have no dropout.
EXPERTS = ("mixtral", "qwen3_moe", "olmoe", "deepseek_v2", "deepseek_v3", "glm4_moe")
#: Room for the lengths drawn here where positions are learned.
POSITIONS = 8192


def bounded(num_examples: int) -> hypothesis_settings:
    """So many examples without a deadline; the same ones each time in CI, where a failure must be one's own."""
    return hypothesis_settings(
        max_examples=num_examples,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def sizes(draw: Draw) -> tuple[int, int, int, int]:
    """(heads, key heads, head_dim, layers) of a model from tiny to very large."""
    large = draw(st.booleans())
    kv_heads = draw(st.sampled_from((1, 2, 4, 8)))
    heads = kv_heads * draw(st.integers(1, 16 if large else 3))
    head_dim = draw(st.sampled_from(HEAD_DIMS))
    layers = draw(st.integers(1, 126 if large else 6))
    return heads, kv_heads, head_dim, layers


def llama_like(draw: Draw) -> Fields:
    """The fields that all decoders of Llama's shape share."""
    heads, kv_heads, head_dim, layers = sizes(draw)
    hidden = heads * head_dim
    return {
        "hidden_size": hidden,
        "intermediate_size": draw(st.integers(8, 5 * hidden)),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": draw(VOCABULARIES),
        "tie_word_embeddings": draw(st.booleans()),
    }


def biased(draw: Draw) -> Fields:
    return llama_like(draw) | {"attention_bias": draw(st.booleans()), "mlp_bias": draw(st.booleans())}


def wide_heads(draw: Draw) -> Fields:
    """Heads wider than hidden_size / heads, as Gemma and Qwen3 have them."""
    return llama_like(draw) | {"head_dim": draw(st.sampled_from(HEAD_DIMS))}


def windowed(draw: Draw) -> Fields:
    return llama_like(draw) | {"sliding_window": draw(st.sampled_from((None, 16, 100, 4096)))}


def gemma_windows(draw: Draw) -> Fields:
    return wide_heads(draw) | {"sliding_window": draw(st.sampled_from((16, 100, 4096)))}


def softcapped(draw: Draw) -> Fields:
    caps = {"attn_logit_softcapping": (None, 50.0), "final_logit_softcapping": (None, 30.0)}
    return gemma_windows(draw) | {name: draw(st.sampled_from(values)) for name, values in caps.items()}


def phi(draw: Draw) -> Fields:
    share = draw(st.sampled_from((0.25, 0.5, 1.0)))
    return llama_like(draw) | {"partial_rotary_factor": share, "resid_pdrop": draw(st.sampled_from((0.0, 0.1)))}


def experts(draw: Draw) -> Fields:
    count = draw(st.sampled_from((2, 8, 64)))
    return llama_like(draw) | {
        "num_local_experts": count,
        "num_experts_per_tok": draw(st.integers(1, min(8, count))),
        "sliding_window": None,
    }


def qwen3_experts(draw: Draw) -> Fields:
    fields = wide_heads(draw) | experts(draw)
    fields |= {"num_experts": fields.pop("num_local_experts"), "moe_intermediate_size": draw(st.integers(8, 2048))}
    return fields | {"decoder_sparse_step": draw(st.sampled_from((1, 2)))}


def olmo3(draw: Draw) -> Fields:
    return llama_like(draw) | {"sliding_window": draw(st.sampled_from((16, 100, 4096)))}


def clipped(draw: Draw) -> Fields:
    return llama_like(draw) | {"clip_qkv": draw(st.sampled_from((None, 8.0)))}


def olmoe(draw: Draw) -> Fields:
    fields = clipped(draw) | experts(draw)
    fields |= {"num_experts": fields.pop("num_local_experts"), "norm_topk_prob": draw(st.booleans())}
    return fields


def glm(draw: Draw) -> Fields:
    return wide_heads(draw) | {"attention_bias": draw(st.booleans())}


def qwen2_experts(draw: Draw) -> Fields:
    fields = qwen3_experts(draw)
    fields.pop("head_dim")
    return fields | {"shared_expert_intermediate_size": draw(st.integers(8, 2048))}


def shared_experts(draw: Draw) -> Fields:
    """glm4_moe: dense first layers, groups of experts, and experts that every token takes."""
    fields, groups = glm(draw), draw(st.sampled_from((1, 2)))
    return fields | {
        **{"n_routed_experts": 8, "n_shared_experts": draw(st.integers(1, 2)), "num_experts_per_tok": 2},
        **{"n_group": groups, "topk_group": 1, "norm_topk_prob": draw(st.booleans())},
        **{"moe_intermediate_size": draw(st.integers(8, 2048))},
        **{"first_k_dense_replace": draw(st.integers(0, fields["num_hidden_layers"]))},
    }


def latent(draw: Draw) -> Fields:
    """deepseek: queries and keys from latents, values of a width of their own."""
    fields = shared_experts(draw) | {"num_key_value_heads": None}
    fields.pop("head_dim")
    sizes = {name: draw(st.sampled_from(HEAD_DIMS)) for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")}
    return (
        fields
        | sizes
        | {
            "kv_lora_rank": draw(st.integers(8, 512)),
            "q_lora_rank": draw(st.one_of(st.none(), st.integers(8, 1536))),
            "topk_method": draw(st.sampled_from(("greedy", "group_limited_greedy"))),
        }
    )


def gpt_oss(draw: Draw) -> Fields:
    window = draw(st.sampled_from((16, 100, 4096)))
    return wide_heads(draw) | experts(draw) | {"sliding_window": window}


def phimoe(draw: Draw) -> Fields:
    fields = experts(draw) | {"num_experts_per_tok": 2, "attention_bias": draw(st.booleans())}
    return fields | {"lm_head_bias": draw(st.booleans()), "tie_word_embeddings": False}


def gemma4(draw: Draw) -> Fields:
    """Now and then with inputs of each layer's own, and with layers that use an earlier one's keys and values."""
    fields = gemma_windows(draw)
    fields |= {"global_head_dim": draw(st.sampled_from(HEAD_DIMS)), "attention_k_eq_v": draw(st.booleans())}
    if draw(st.booleans()):
        fields |= {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
        fields |= {"num_kv_shared_layers": draw(st.sampled_from((0, 1, 2))), "use_double_wide_mlp": draw(st.booleans())}
    else:
        fields |= {"num_kv_shared_layers": 0}
    own = {"hidden_size_per_layer_input": draw(st.sampled_from((0, 16))), "vocab_size_per_layer_input": 50}
    fields |= own | {"enable_moe_block": draw(st.booleans())}
    return fields | {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": draw(st.integers(8, 512))}


def gpt2(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    dropout = draw(st.sampled_from((0.0, 0.1)))
    return {
        **{"n_embd": heads * head_dim, "n_head": heads, "n_layer": layers, "n_positions": POSITIONS},
        **{"vocab_size": draw(VOCABULARIES), "tie_word_embeddings": draw(st.booleans())},
        **{"resid_pdrop": dropout, "attn_pdrop": dropout, "embd_pdrop": dropout},
    }


def gpt_neox(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    return {
        **{"hidden_size": heads * head_dim, "num_attention_heads": heads, "num_hidden_layers": layers},
        **{"intermediate_size": draw(st.integers(8, 4 * heads * head_dim)), "vocab_size": draw(VOCABULARIES)},
        **{"use_parallel_residual": draw(st.booleans()), "tie_word_embeddings": draw(st.booleans())},
    }


def opt(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    hidden = heads * head_dim
    return {
        **{"hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers},
        **{"ffn_dim": draw(st.integers(8, 4 * hidden)), "max_position_embeddings": POSITIONS},
        **{"word_embed_proj_dim": draw(st.sampled_from((hidden, hidden // 2))), "vocab_size": draw(VOCABULARIES)},
        **{"do_layer_norm_before": draw(st.booleans()), "dropout": draw(st.sampled_from((0.0, 0.1)))},
    }


def bloom(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    return {
        **{"hidden_size": heads * head_dim, "n_head": heads, "n_layer": layers, "vocab_size": draw(VOCABULARIES)},
        "hidden_dropout": draw(st.sampled_from((0.0, 0.1))),
    }


def falcon(draw: Draw) -> Fields:
    heads, kv_heads, head_dim, layers = sizes(draw)
    layout = draw(
        st.sampled_from(
            (
                {"new_decoder_architecture": True, "num_kv_heads": kv_heads},
                {"new_decoder_architecture": False, "multi_query": True},
                {"new_decoder_architecture": False, "multi_query": False, "parallel_attn": False},
            )
        )
    )
    return {
        **{"hidden_size": heads * head_dim, "num_attention_heads": heads, "num_hidden_layers": layers},
        **{"vocab_size": draw(VOCABULARIES), "alibi": draw(st.booleans())},
        **layout,
    }


def t5(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    hidden = draw(st.sampled_from((heads * head_dim, 64)))
    return {
        **{"d_model": hidden, "d_kv": head_dim, "num_heads": heads, "d_ff": draw(st.integers(8, 4 * hidden))},
        **{"num_layers": layers, "num_decoder_layers": draw(st.integers(1, 6)), "vocab_size": draw(VOCABULARIES)},
        **{"feed_forward_proj": draw(st.sampled_from(("relu", "gated-gelu"))), "dropout_rate": draw(DROPOUTS)},
        "tie_word_embeddings": draw(st.booleans()),
    }


def gpt_bigcode(draw: Draw) -> Fields:
    return gpt2(draw) | {"multi_query": draw(st.booleans())}


def starcoder2(draw: Draw) -> Fields:
    return windowed(draw) | {"use_bias": draw(st.booleans()), "residual_dropout": draw(DROPOUTS)}


def stablelm(draw: Draw) -> Fields:
    flags = {name: draw(st.booleans()) for name in ("use_qkv_bias", "qk_layernorm", "use_parallel_residual")}
    return llama_like(draw) | flags | {"partial_rotary_factor": draw(st.sampled_from((0.25, 0.5, 1.0)))}


def cohere(draw: Draw) -> Fields:
    return llama_like(draw) | {"use_qk_norm": draw(st.booleans())}


def mpt(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    return {
        **{"d_model": heads * head_dim, "n_heads": heads, "n_layers": layers, "max_seq_len": POSITIONS},
        **{"vocab_size": draw(VOCABULARIES), "no_bias": draw(st.booleans())},
    }


def gpt_neo(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    return {
        **{"hidden_size": heads * head_dim, "num_heads": heads, "num_layers": layers, "vocab_size": draw(VOCABULARIES)},
        **{"attention_types": [[["local"], layers]], "max_position_embeddings": POSITIONS},
    }


def gptj(draw: Draw) -> Fields:
    return gpt2(draw) | {"rotary_dim": draw(st.sampled_from((4, 8)))}


def bert(draw: Draw) -> Fields:
    heads, _, head_dim, layers = sizes(draw)
    hidden = heads * head_dim
    return {
        **{"hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers},
        **{"intermediate_size": draw(st.integers(8, 4 * hidden)), "vocab_size": draw(VOCABULARIES)},
        **{"max_position_embeddings": POSITIONS, "attention_probs_dropout_prob": draw(DROPOUTS)},
    }


FAMILIES: dict[str, Callable[[Draw], Fields]] = {
    "gpt_bigcode": gpt_bigcode,
    "starcoder2": starcoder2,
    "stablelm": stablelm,
    "cohere": cohere,
    "cohere2": gemma_windows,
    "mpt": mpt,
    "gpt_neo": gpt_neo,
    "gptj": gptj,
    "bert": bert,
    "roberta": bert,
    "t5": t5,
    "llama": biased,
    "mistral": windowed,
    "qwen2": llama_like,
    "qwen3": wide_heads,
    "gemma": wide_heads,
    "gemma2": softcapped,
    "gemma3_text": softcapped,
    "phi": phi,
    "phi3": windowed,
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
    "opt": opt,
    "falcon": falcon,
    "bloom": bloom,
    "mixtral": experts,
    "qwen3_moe": qwen3_experts,
    "olmo2": llama_like,
    "granite": biased,
    "smollm3": llama_like,
    "olmo": clipped,
    "olmo3": olmo3,
    "glm": glm,
    "glm4": glm,
    "olmoe": olmoe,
    "qwen2_moe": qwen2_experts,
    "deepseek_v2": latent,
    "deepseek_v3": latent,
    "glm4_moe": shared_experts,
    "gpt_oss": gpt_oss,
    "phimoe": phimoe,
    "gemma4_text": gemma4,
}


@st.composite
def configs(draw: Draw) -> Fields:
    """A config of one of the families whose activations are exact."""
    model_type = draw(st.sampled_from(sorted(FAMILIES)))
    return {"model_type": model_type, **FAMILIES[model_type](draw)}


@st.composite
def settings_of_method(draw: Draw, method: str) -> Fields:
    """lora and quantization, where the method has them."""
    fields: Fields = {}
    if method != "full":
        fields["lora"] = {
            "r": draw(st.integers(1, 128)),
            "autocast_adapter_dtype": draw(st.booleans()),
        }
    if method == "qlora":
        fields["quantization"] = {
            "bnb_4bit_quant_type": draw(st.sampled_from(("nf4", "fp4"))),
            "bnb_4bit_use_double_quant": draw(st.booleans()),
            "upcast_unquantized": draw(st.booleans()),
        }
    return fields


@st.composite
def requests(draw: Draw, models: st.SearchStrategy[Any] | None = None, **fixed: Any) -> Fields:
    """A valid request as a mapping; `fixed` fields are as given."""
    method = fixed.get("method") or draw(st.sampled_from(("full", "lora", "qlora")))
    drawn = {
        "method": st.just(method),
        "model": models if models is not None else configs(),
        "dtype": st.sampled_from(("bfloat16", "float16", "float32")),
        "mixed_precision": st.sampled_from(("no", "bf16")),
        "per_device_train_batch_size": st.integers(1, 64),
        "max_length": st.integers(1, 4096),
        "gradient_accumulation_steps": st.sampled_from((1, 4)),
        "padding": st.sampled_from(("none", "padded", "packed")),
        "gradient_checkpointing": st.booleans(),
        "gradient_checkpointing_kwargs": st.builds(dict, use_reentrant=st.booleans()),
        "attn_implementation": st.sampled_from(("sdpa", "eager", "flash_attention_2")),
        "optim": st.sampled_from(sorted(OPTIMIZERS)),
        "loss": st.sampled_from(("full", "full", "chunked", "fused")),
        "device": st.sampled_from(("cuda", "cpu")),
    }
    request = {name: draw(values) for name, values in drawn.items() if name not in fixed}
    settings = draw(settings_of_method(method))
    model = request.get("model", fixed.get("model"))
    if "lora" in settings and isinstance(model, dict) and model["model_type"] not in EXPERTS:
        settings["lora"]["lora_dropout"] = draw(st.sampled_from((0.0, 0.1)))
    return request | settings | fixed
