"""The sidebar's groups of settings that a first question leaves alone."""

from typing import Any

import streamlit as st

from ui import state
from ui.widgets import choice, count, group, held_inputs, select, set_inputs, share, switch

#: Settings that stand in a group of their own, which opens where the link sets one of them.
GROUPS: dict[str, tuple[str, ...]] = {
    "more": (
        "stack",
        "gradient_checkpointing",
        "use_reentrant",
        "gradient_accumulation_steps",
        "optim",
        "loss",
        "attn_implementation",
        "padding",
        "dtype",
        "mixed_precision",
    ),
    "dataset": ("num_tokens", "num_examples", "mean_length", "num_train_epochs"),
    "pricing": (
        "pricing",
        "provider",
        "usd_per_gpu_hour",
        "restart_allowance",
        "purchase_price_usd",
        "useful_life_years",
        "power_w",
        "electricity_usd_per_kwh",
        "utilization",
    ),
    "sharing": (
        "num_nodes",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "context_parallel_size",
        "expert_parallel_size",
        "offload_optimizer",
        "offload_params",
        "activation_offloading",
        "overlap_comm",
    ),
    "adapters": ("lora_r", "lora_dropout", "target_modules", "autocast_adapter_dtype"),
    "quantization": ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "upcast_unquantized"),
}
_SWITCHES = ("offload_optimizer", "offload_params", "activation_offloading", "overlap_comm")


def sharing() -> dict[str, Any]:
    """What experts set of several cards: each setting under its own name, explained by the schema's words."""
    with group("sharing", "Sharing and offload", "lan"):
        sizes = ("tensor", "pipeline", "context", "expert")
        nodes = "`num_nodes`: machines. At 1, more than 8 cards stand in the fewest of equal size with at most 8 each."
        values: dict[str, Any] = {"num_nodes": count("num_nodes", nodes)}
        for kind in sizes:
            key = f"{kind}_parallel_size"
            values[key] = count(key, f"`{key}`: {state.description(key)}.")
        for key in _SWITCHES:
            values[key] = switch(key, f"`{key}`: {state.description(key)}.")
        return values


def more() -> dict[str, Any]:
    """How a step is computed."""
    with group("more", "More settings", "tune"):
        stack = _stack()
        checkpointing = switch(
            "gradient_checkpointing",
            "Keep one hidden state a layer and recompute the rest: much less memory, about a third more time.",
        )
        return {
            "stack": stack,
            "gradient_checkpointing": checkpointing,
            "use_reentrant": switch("use_reentrant", "`use_reentrant` of gradient checkpointing.", not checkpointing),
            "gradient_accumulation_steps": count(
                "gradient_accumulation_steps", "`gradient_accumulation_steps` before an update."
            ),
            "optim": choice("optim", "`optim`, as transformers names them."),
            "loss": choice(
                "loss", "full: all logits at once, as transformers does; chunked and fused: never the whole."
            ),
            "attn_implementation": choice("attn_implementation", "eager keeps a score for each pair."),
            "padding": choice("padding", "padded: a mask is passed, which costs memory; packed: none."),
            "dtype": choice("dtype", "`dtype`: what the weights are loaded in."),
            "mixed_precision": choice("mixed_precision", "Autocast: the Trainer's bf16 and fp16."),
        }


def _stack() -> str:
    """The training stack; choosing one puts its values into the inputs, which can then be changed."""
    stack = select(
        "stack",
        state.choices("stack"),
        "`stack`: the trainer that runs. Choosing one sets the inputs to its values; a version can be typed, as in "
        "trl@1.16. Named, its own kernels are planned and the band is narrower.",
        typed=True,
        on_change=_take_stack,
    )
    st.session_state["stack_before"] = stack
    return stack


def _take_stack() -> None:
    """Take back what the former stack set and nobody changed since, and put in what the new one sets."""
    before, after, method = (st.session_state.get(key) for key in ("stack_before", "stack", "method"))
    set_inputs(state.change_of_stack(held_inputs(), str(before), str(after), str(method)))


def adapters() -> dict[str, Any]:
    """The low-rank adapters."""
    with group("adapters", "Adapters", "extension"):
        return {
            "lora_r": count("lora_r", "`r` of LoraConfig."),
            "lora_dropout": share(
                "lora_dropout", "`lora_dropout`: above 0 it keeps a copy and a mask of each adapter's input."
            ),
            "target_modules": select(
                "target_modules",
                [state.default("target_modules"), state.ATTENTION],
                "Which linear layers get adapters: a choice, or names with commas (q_proj, v_proj).",
                typed=True,
            ),
            "autocast_adapter_dtype": switch(
                "autocast_adapter_dtype", "`autocast_adapter_dtype`: PEFT's default on 16 bits."
            ),
        }


def quantization() -> dict[str, Any]:
    """The 4-bit base."""
    with group("quantization", "Quantization", "compress"):
        return {
            "bnb_4bit_quant_type": choice("bnb_4bit_quant_type", "`bnb_4bit_quant_type`."),
            "bnb_4bit_use_double_quant": switch(
                "bnb_4bit_use_double_quant", "Quantize the constants too: 0.05 byte a parameter."
            ),
            "upcast_unquantized": switch(
                "upcast_unquantized",
                "What prepare_model_for_kbit_training does to embeddings, head and norms; some stacks skip it.",
            ),
        }
