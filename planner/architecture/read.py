"""config.json -> Architecture: the one entry, and the families it knows.

A family's file is imported when a config of that family is read, not before: start-up counts.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from planner.architecture.blocks import Architecture
from planner.architecture.config import shown
from planner.errors import ArchitectureError

Reader = Callable[[Mapping[str, object]], Architecture]

#: Larger models are typing errors, and would leave no room for the bytes of a long batch in 64 bits.
MAX_PARAMS = 2**47

_FILES = {
    "gpt": "gpt2 gpt_bigcode gpt_neo gpt_neox gptj",
    "opt_bloom": "bloom falcon mpt opt",
    "encoder": "bert roberta vit",
    "hybrid": "jamba mamba",
    "nemotron_h": "nemotron_h",
    "t5": "mt5 t5",
    "qwen_next": "qwen3_next qwen3_5_text qwen3_5_moe_text",
    "dbrx": "dbrx",
    "gemma4": "gemma4 gemma4_text",
    "llama_vision": "llama4 mllama",
    "vision_language": "gemma3 llava mistral3 qwen2_5_vl qwen2_vl qwen3_5 qwen3_5_moe qwen3_vl qwen3_vl_moe",
    "mla": "deepseek_v2 deepseek_v3 kimi_k2",
    "moe": "mixtral qwen2_moe qwen3_moe phimoe olmoe gpt_oss glm4_moe",
    "llama_like": "granite internlm2 internlm3 llama mistral olmo olmo2 olmo3 qwen2 qwen3 smollm3",
    "dense": "cohere cohere2 glm glm4 phi phi3 stablelm starcoder2",
    "gemma": "gemma gemma2 gemma3_text",
}

#: model_type -> file in planner/architecture/families
FAMILIES: dict[str, str] = {name: file for file, names in _FILES.items() for name in names.split()}


def read_architecture(config: dict[str, object], name: str = "") -> Architecture:
    """Read a model's config, as its config.json has it; fields that are absent take transformers' defaults.

    name: what to call the model in a refusal. Raises ArchitectureError, and nothing else, for a config that no
    reader knows or that cannot describe a model.
    """
    try:
        architecture = _reader(config)(config)
        _check_size(architecture)
    except ArchitectureError as error:
        if not name:
            raise
        raise ArchitectureError(f"{name}: {error.message}", field="model") from None
    return architecture


def _reader(config: object) -> Reader:
    """The reader of the config's model_type."""
    if not isinstance(config, dict):
        raise ArchitectureError(f"config.json: {shown(config)} is not allowed: it must be an object", field="model")
    model_type = config.get("model_type")
    if model_type is None:
        raise ArchitectureError("config.json: model_type is missing: it says which reader to use", field="model")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ArchitectureError(
            f"config.json: model_type={shown(model_type)} is not known: known are {known}; on the command "
            "line, `tunebudget plan --trace` asks the installed transformers",
            "model",
        )
    module = import_module(f"planner.architecture.families.{FAMILIES[model_type]}")
    readers: Mapping[str, Reader] = module.READERS
    return readers[model_type]


def _check_size(architecture: Architecture) -> None:
    """Refuse what is larger than any model: products of sizes that are each allowed."""
    total = architecture.num_params + sum(t.numel for t in architecture.buffers)
    if total > MAX_PARAMS:
        raise ArchitectureError(f"config.json describes {total:.3g} parameters: at most 2**47 are allowed", "model")
