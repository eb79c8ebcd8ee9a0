"""(IA)^3: which linears get a learned vector, and on which side (Liu et al. 2022, T-Few).

Source: peft 0.21 utils/constants.py TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING and ..._FEEDFORWARD_....
"""

from planner.architecture.blocks import Architecture
from planner.errors import RequestError
from planner.methods.targets import adapted_names
from planner.schema import LoraSettings

#: model_type -> (target_modules, feedforward_modules: those whose input is scaled instead of their output).
_MODULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "t5": (("k", "v", "wo"), ("wo",)),
    "gpt2": (("c_attn", "mlp.c_proj"), ("mlp.c_proj",)),
    "bloom": (("query_key_value", "mlp.dense_4h_to_h"), ("mlp.dense_4h_to_h",)),
    "opt": (("q_proj", "k_proj", "fc2"), ("fc2",)),
    "gptj": (("q_proj", "v_proj", "fc_out"), ("fc_out",)),
    "gpt_neox": (("query_key_value", "dense_4h_to_h"), ("dense_4h_to_h",)),
    "gpt_neo": (("q_proj", "v_proj", "c_proj"), ("c_proj",)),
    "gpt_bigcode": (("c_attn", "mlp.c_proj"), ("mlp.c_proj",)),
    "llama": (("k_proj", "v_proj", "down_proj"), ("down_proj",)),
    "mistral": (("k_proj", "v_proj", "down_proj"), ("down_proj",)),
    "falcon": (("query_key_value", "dense_4h_to_h"), ("dense_4h_to_h",)),
    "phi": (("q_proj", "v_proj", "fc2"), ("fc2",)),
    **dict.fromkeys(
        ("gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"), (("q_proj", "v_proj", "down_proj"), ("down_proj",))
    ),
}


def ia3_names(architecture: Architecture) -> tuple[frozenset[str], frozenset[str]]:
    """Full names of the linears with a vector, and of those among them whose input it scales.

    Raises RequestError where PEFT has no default for the model_type.
    """
    found = _MODULES.get(architecture.model_type)
    if found is None:
        raise RequestError(
            f"method: 'ia3' has no default target modules for {architecture.model_type} in PEFT: "
            f"known are {', '.join(sorted(_MODULES))}",
            "method",
        )
    targets, feedforward = found
    names = adapted_names(architecture, LoraSettings(target_modules=targets))
    endings = tuple(f".{name}" for name in feedforward)
    return names, frozenset(name for name in names if name.endswith(endings))
