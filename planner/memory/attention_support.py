"""Which attention transformers has for a family (_supports_sdpa and _supports_flash_attn of its model class)."""

from planner.architecture.blocks import Architecture

_WITHOUT_SDPA = frozenset({"gemma2", "bloom", "gpt_oss", "mpt", "gpt_neo"})
_WITHOUT_SDPA_BEFORE_5_24 = _WITHOUT_SDPA | {"gptj"}

#: MPT is not among them: with flash attention llm-foundry's own runs.
_WITHOUT_FLASH_BEFORE_5_24 = frozenset({"bloom", "llama4", "mllama", "t5", "mt5"})
_WITHOUT_FLASH = _WITHOUT_FLASH_BEFORE_5_24 | {"gemma3", "gemma4"}


def has_sdpa(architecture: Architecture) -> bool:
    """Whether transformers runs the model with sdpa where that is asked for, and not with eager attention."""
    before = architecture.modeling == "transformers_5_23"
    return architecture.model_type not in (_WITHOUT_SDPA_BEFORE_5_24 if before else _WITHOUT_SDPA)


def has_flash(architecture: Architecture) -> bool:
    """Whether transformers loads the model with flash_attention_2: it refuses where the class does not support it."""
    before = architecture.modeling == "transformers_5_23"
    return architecture.model_type not in (_WITHOUT_FLASH_BEFORE_5_24 if before else _WITHOUT_FLASH)
