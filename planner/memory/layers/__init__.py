"""Layer code by family: each module mirrors the modelling code of one family of transformers on a tape."""

from functools import lru_cache
from importlib import import_module
from types import ModuleType

from planner.answer import Certainty
from planner.architecture.blocks import Architecture
from planner.identity import Same
from planner.schema import Method
from planner.switches import LossPath

#: model_type -> module of this package whose `embed`, `layer` and `loss` mirror the family's forward.
FAMILIES = {
    "llama": "llama",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "opt": "opt",
    "bloom": "bloom",
    "falcon": "falcon",
    "phi": "phi",
    "mistral": "llama",
    "qwen2": "llama",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "granite": "granite",
    "olmo2": "olmo2",
    "mixtral": "mixtral",
    "phi3": "phi3",
    "qwen3_moe": "qwen3_moe",
    "smollm3": "smollm3",
    "olmo": "olmo",
    "olmo3": "olmo3",
    "glm": "glm",
    "glm4": "glm4",
    "olmoe": "olmoe",
    "qwen2_moe": "qwen2_moe",
    "deepseek_v2": "deepseek_v2",
    "deepseek_v3": "deepseek_v3",
    "glm4_moe": "glm4_moe",
    "gpt_oss": "gpt_oss",
    "phimoe": "phimoe",
    "llama4": "llama4",
    "gemma4": "gemma4",
    "gemma4_text": "gemma4",
    "dbrx": "dbrx",
    "qwen2_vl": "qwen2_vl",
    "qwen2_5_vl": "qwen2_vl",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_moe": "qwen3_vl_moe",
    "mllama": "mllama",
    "gpt_bigcode": "gpt_bigcode",
    "starcoder2": "starcoder2",
    "stablelm": "stablelm",
    "cohere": "cohere",
    "cohere2": "cohere",
    "mpt": "mpt",
    "gpt_neo": "gpt_neo",
    "gptj": "gptj",
    "gptj_5_23": "gptj_5_23",
    "bert": "bert",
    "roberta": "bert",
    "t5": "t5",
    "mt5": "t5",
    "internlm3": "llama",
    "qwen3_next": "qwen3_next",
    "mamba": "mamba",
    "jamba": "jamba",
    "nemotron_h": "nemotron_h",
    "qwen3_5": "qwen3_5",
    "qwen3_5_moe": "qwen3_5",
    "qwen3_5_text": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5",
}


#: Families that hand a batch of text to a text model whose forward is another family's.
TEXT_MODELS = {"gemma3": "gemma3_text"}

#: Families whose code was another one before transformers 5.24.
BEFORE_5_24 = {"gptj": "gptj_5_23"}

#: Families whose code is not in transformers 5.24, with layers like another family's.
LIKE = {"internlm2": "llama", "kimi_k2": "deepseek_v3"}

#: Families whose loop over single tokens is taken from its last passes, with approximations around it; and nemotron_h,
#: followed line by line but for its products in chunks under autocast.
MODELLED = frozenset({"mamba", "jamba", "nemotron_h"})

GENERIC = "generic"
#: LitGPT's own code for all families.
LITGPT = "litgpt"
#: Families that LitGPT 0.4 runs and its layer code here follows: rotary attention in every layer, one dense MLP.
LITGPT_RUNS = frozenset({"llama", "mistral", "gpt_neox", "falcon", "phi", "gemma", "qwen2"})


def layer_family(architecture: Architecture) -> str:
    """The family whose layer code stands for a model: its own, that of its text part, or the generic one."""
    return _layer_family(Same(architecture))


@lru_cache(maxsize=1024)
def _layer_family(its_architecture: Same[Architecture]) -> str:
    architecture = its_architecture.of
    name = architecture.model_type
    text = architecture.config.get("text_config")
    if name in ("llava", "mistral3"):
        name = str(text.get("model_type")) if isinstance(text, dict) and "model_type" in text else name
    name = TEXT_MODELS.get(name) or LIKE.get(name, name)
    name = BEFORE_5_24.get(name, name) if architecture.modeling == "transformers_5_23" else name
    mirrored = name in FAMILIES and not _has_latent_experts(architecture)
    return name if mirrored else GENERIC


def _has_latent_experts(architecture: Architecture) -> bool:
    """Nemotron-H with experts in a latent space (moe_latent_size), not mirrored."""
    return bool(architecture.config.get("moe_latent_size"))


def runs_in_litgpt(architecture: Architecture) -> bool:
    """Whether LitGPT's layer code, as it is followed here, stands for a model."""
    attentions = [block.attention for block in architecture.blocks]
    rotary = all(a is not None and a.position == "rope" and a.qk_norm == "none" for a in attentions)
    return architecture.model_type in LITGPT_RUNS and rotary


def family_module(family: str) -> ModuleType:
    """The layer code of a family that `layer_family` named."""
    return import_module(f"planner.memory.layers.{LITGPT if family == LITGPT else FAMILIES.get(family, GENERIC)}")


#: Losses that are followed operation by operation and were held against measured steps.
EXACT_LOSSES = ("full", "tiled")


#: Methods whose own tensors are followed in the same way.
EXACT_METHODS = ("full", "lora", "qlora", "dora", "ia3")


def exceeds_transformers(architecture: Architecture) -> bool:
    """A config that asks for tensors which transformers' class of its model_type does not build.

    no_bias=false, of llm-foundry's MPT: biases, and learned positions without ALiBi (transformers 5.23 models/mpt takes
    no_bias and learned_pos_emb and reads neither).
    """
    return architecture.model_type == "mpt" and architecture.config.get("no_bias") is False


def activation_certainty(loss: LossPath, method: Method, architecture: Architecture) -> Certainty:
    """How sure the activations are: exact where all the code that runs is mirrored, modelled elsewhere."""
    mirrored = layer_family(architecture) != GENERIC and architecture.model_type not in MODELLED.union(LIKE)
    mirrored = mirrored and not exceeds_transformers(architecture)
    return "exact" if mirrored and loss in EXACT_LOSSES and method in EXACT_METHODS else "modelled"
