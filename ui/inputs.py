"""The sidebar: one widget for each field of the request, bound to the URL.

Labels of choices are the values themselves, as transformers, PEFT and bitsandbytes spell them: what stands in the
sidebar also stands in the URL, the command and the request file.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import streamlit as st

from planner.catalog import find_gpu, find_model
from planner.errors import PlannerError
from ui import state, text
from ui.answers import gpu_keys, model_ids

_URL: dict[str, Any] = {"bind": "query-params"}
_OFFLOADS = {
    "offload_optimizer": "Optimizer states on the host",
    "offload_params": "Parameters on the host",
    "activation_offloading": "Activations on the host",
}

#: Settings that stand in a group of their own, which opens where the link sets one of them.
GROUPS: dict[str, tuple[str, ...]] = {
    "more": (
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
    "sharing": (
        "num_nodes",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "context_parallel_size",
        "expert_parallel_size",
        "offload_optimizer",
        "offload_params",
        "activation_offloading",
    ),
    "adapters": ("lora_r", "lora_dropout", "target_modules", "autocast_adapter_dtype"),
    "quantization": ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "upcast_unquantized"),
}


def sidebar(page: str) -> dict[str, Any]:
    """Draw the inputs; what each of them holds, by key. Those that the method has no use for are left out.

    page: its name; whoever comes from another page of the same visit finds the question as it was there.
    """
    _remember_open_groups()
    _bring_question(page)
    with st.sidebar:
        values = _question()
        values |= _more()
        if values["num_gpus"] > 1:
            values |= _sharing()
        if values["method"] != "full":
            values |= _adapters()
        if values["method"] == "qlora":
            values |= _quantization()
        st.button("Start over", icon=":material/restart_alt:", on_click=set_inputs, args=(state.defaults(),))
    st.session_state["question"] = (page, values)
    return values


def _bring_question(page: str) -> None:
    """Streamlit forgets the inputs of a page that is left: put the question asked there into this page's."""
    asked_on, values = st.session_state.get("question", (page, {}))
    if asked_on != page:
        set_inputs(values)


def set_inputs(values: Mapping[str, Any]) -> None:
    """Put values into the inputs; a callback, since a widget's value can only be set before it is drawn."""
    for key, value in values.items():
        st.session_state[key] = value


def _remember_open_groups() -> None:
    """Open the groups that the link sets something of, once a visit: they stay as the visitor leaves them."""
    opened = {name for name, keys in GROUPS.items() if any(key in st.query_params for key in keys)}
    st.session_state.setdefault("open_groups", opened)


def _group(name: str, label: str, icon: str) -> AbstractContextManager[Any]:
    return st.expander(label, icon=f":material/{icon}:", expanded=name in st.session_state["open_groups"])


def _question() -> dict[str, Any]:
    model = _select("model", "Model", model_ids(), "Search the catalogue, or type a Hub id or an alias.", typed=True)
    _fact(lambda: text.model_facts(find_model(str(model))))
    method = st.segmented_control(
        "Method",
        state.choices("method"),
        default=state.default("method"),
        required=True,
        key="method",
        help="full: all weights; lora: adapters on frozen weights; qlora: adapters on a 4-bit base.",
        **_URL,
    )
    gpu = _select("gpu", "GPU", gpu_keys(), "Search the catalogue, or type a card's name as clouds say it.", typed=True)
    _fact(lambda: text.gpu_facts(find_gpu(str(gpu))))
    return {
        "model": model,
        "method": method,
        "gpu": gpu,
        **_cards(),
        "max_length": _count("max_length", "Length in tokens", "`max_length`: tokens of one sequence.", 256),
        "per_device_train_batch_size": _count(
            "per_device_train_batch_size", "Batch size", "`per_device_train_batch_size`: sequences in one forward pass."
        ),
    }


def _cards() -> dict[str, Any]:
    """How many cards, and, where there are several, how they share the work."""
    num_gpus = _count("num_gpus", "Number of GPUs", "`num_gpus`: cards of all machines together.")
    if num_gpus == 1:
        return {"num_gpus": num_gpus}
    strategy = _choice("strategy", "Shared by", f"`strategy`: {state.description('strategy')}.")
    return {"num_gpus": num_gpus, "strategy": strategy}


def _sharing() -> dict[str, Any]:
    """What experts set of several cards: each setting under its own name, explained by the schema's words."""
    with _group("sharing", "Sharing and offload", "lan"):
        sizes = ("tensor", "pipeline", "context", "expert")
        values: dict[str, Any] = {"num_nodes": _count("num_nodes", "Nodes", "`num_nodes`: machines.")}
        for kind in sizes:
            key = f"{kind}_parallel_size"
            values[key] = _count(key, f"{kind.capitalize()} parallel", f"`{key}`: {state.description(key)}.")
        for key, label in _OFFLOADS.items():
            values[key] = _switch(key, label, f"`{key}`: {state.description(key)}.")
        return values


def _more() -> dict[str, Any]:
    with _group("more", "More settings", "tune"):
        checkpointing = _switch(
            "gradient_checkpointing",
            "Gradient checkpointing",
            "Keep one hidden state a layer and recompute the rest: much less memory, about a third more time.",
        )
        return {
            "gradient_checkpointing": checkpointing,
            "use_reentrant": _switch(
                "use_reentrant", "Reentrant form", "`use_reentrant` of gradient checkpointing.", not checkpointing
            ),
            "gradient_accumulation_steps": _count(
                "gradient_accumulation_steps", "Accumulation steps", "`gradient_accumulation_steps` before an update."
            ),
            "optim": _choice("optim", "Optimizer", "`optim`, as transformers names them."),
            "loss": _choice(
                "loss", "Loss", "full: all logits at once, as transformers does; chunked and fused: never the whole."
            ),
            "attn_implementation": _choice("attn_implementation", "Attention", "eager keeps a score for each pair."),
            "padding": _choice("padding", "Padding", "padded: a mask is passed, which costs memory; packed: none."),
            "dtype": _choice("dtype", "Weights' dtype", "`dtype`: what the weights are loaded in."),
            "mixed_precision": _choice("mixed_precision", "Mixed precision", "Autocast: the Trainer's bf16 and fp16."),
        }


def _adapters() -> dict[str, Any]:
    with _group("adapters", "Adapters", "extension"):
        return {
            "lora_r": _count("lora_r", "Rank", "`r` of LoraConfig."),
            "lora_dropout": st.number_input(
                "Dropout",
                min_value=0.0,
                max_value=0.99,
                value=float(state.default("lora_dropout")),
                step=0.05,
                key="lora_dropout",
                help="`lora_dropout`: above 0 it keeps a copy and a mask of each adapter's input.",
                **_URL,
            ),
            "target_modules": _select(
                "target_modules",
                "Target modules",
                [state.default("target_modules"), state.ATTENTION],
                "Which linear layers get adapters: a choice, or names with commas (q_proj, v_proj).",
                typed=True,
            ),
            "autocast_adapter_dtype": _switch(
                "autocast_adapter_dtype", "Adapters in float32", "`autocast_adapter_dtype`: PEFT's default on 16 bits."
            ),
        }


def _quantization() -> dict[str, Any]:
    with _group("quantization", "Quantization", "compress"):
        return {
            "bnb_4bit_quant_type": _choice("bnb_4bit_quant_type", "4-bit type", "`bnb_4bit_quant_type`."),
            "bnb_4bit_use_double_quant": _switch(
                "bnb_4bit_use_double_quant", "Double quantization", "Quantize the constants too: 0.05 byte a parameter."
            ),
            "upcast_unquantized": _switch(
                "upcast_unquantized",
                "Upcast the rest to float32",
                "What prepare_model_for_kbit_training does to embeddings, head and norms; some stacks skip it.",
            ),
        }


def _select(key: str, label: str, options: list[str], help_text: str, *, typed: bool = False) -> str:
    value = st.selectbox(
        label,
        options,
        index=options.index(state.default(key)),
        key=key,
        help=help_text,
        accept_new_options=typed,
        filter_mode="contains",
        **_URL,
    )
    return str(value)


def _choice(key: str, label: str, help_text: str) -> str:
    return _select(key, label, list(state.choices(key)), help_text)


def _count(key: str, label: str, help_text: str, step: int = 1) -> int:
    """A whole number of at least one; the planner knows its upper limit and says so."""
    value = st.number_input(
        label, min_value=1, value=int(state.default(key)), step=step, key=key, help=help_text, **_URL
    )
    return int(value)


def _switch(key: str, label: str, help_text: str, disabled: bool = False) -> bool:
    return st.toggle(label, value=bool(state.default(key)), key=key, help=help_text, disabled=disabled, **_URL)


def _fact(line: Callable[[], str]) -> None:
    """A caption under an input; what the catalogue does not know is said once, in the main part."""
    try:
        st.caption(line())
    except PlannerError:
        return
