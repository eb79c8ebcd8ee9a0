"""What the decoders of Llama's shape share: default fields, norms on queries and keys, rules for biases."""

from typing import Any

from planner.architecture.blocks import Tensor
from planner.architecture.config import Config
from planner.architecture.parts import Heads, rms_norm

SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


def defaults(*sizes: int, **others: object) -> dict[str, object]:
    """Default fields of a family: SIZES in order, then what it does not share with the rest."""
    return {
        **dict(zip(SIZES, sizes, strict=True)),
        "num_key_value_heads": None,
        "head_dim": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        **others,
    }


def head_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """qwen3, gemma3: one norm over head_dim for queries, one for keys."""
    return rms_norm("self_attn.q_norm", sizes.head_dim) + rms_norm("self_attn.k_norm", sizes.head_dim)


def whole_norms(c: Config, sizes: Heads) -> tuple[Tensor, ...]:
    """olmo2: norms over all query heads and over all key heads."""
    return rms_norm("self_attn.q_norm", sizes.q_size) + rms_norm("self_attn.k_norm", sizes.kv_size)


FOUR_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
ALL_BIAS: dict[str, Any] = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
QWEN_WINDOWS: dict[str, Any] = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
