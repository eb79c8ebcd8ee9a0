"""The Serve page's sidebar: one widget for each input, bound to the URL."""

from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st

from planner.catalog import find_gpu
from planner.schema import Dtype
from planner.serving.request import CacheDtype, Engine
from ui import own, text
from ui import serve_state as state
from ui.answers import gpu_keys, model_ids
from ui.inputs import model_facts
from ui.serve_state import BASES, SHARED
from ui.state import ATTENTION
from ui.widgets import URL, fact, select, set_inputs
from ui.wording import LABELS

PAGE = "serve"


def sidebar() -> dict[str, Any]:
    """Draw the inputs; what each of them holds, by key."""
    _bring()
    with st.sidebar:
        values = _question() | _adapters() | _more()
        st.button("Start over", icon=":material/restart_alt:", on_click=set_inputs, args=(state.defaults(),))
    came = st.session_state.get("question", (PAGE, {}))[0] != PAGE
    _remember(values)
    if came:
        # A value brought along reaches the page's address in the run after (Streamlit 1.67).
        st.session_state["bring_again"] = True
        st.rerun()
    return values


def _bring() -> None:
    """What was asked on the page before, as far as it is asked here, and what was asked here earlier in the visit."""
    asked_on, asked = st.session_state.get("question", (PAGE, {}))
    if asked_on != PAGE or st.session_state.pop("bring_again", False):
        earlier = st.session_state.get("serve_question", {})
        set_inputs(earlier | {key: asked[key] for key in SHARED if key in asked})


def _remember(values: dict[str, Any]) -> None:
    _, asked = st.session_state.get("question", (PAGE, {}))
    shared = {key: values[key] for key in SHARED if key in values}
    st.session_state["question"] = (PAGE, {**asked, **shared})
    st.session_state["serve_question"] = dict(values)


def _question() -> dict[str, Any]:
    configs = own.own_models()
    model = select(
        "model",
        [*configs, *model_ids()],
        "Search the catalogue, or type an alias or a Hub id.",
        label="Base model",
        typed=True,
    )
    fact(lambda: model_facts(model))
    base = _choice("base", "Base in", list(BASES), "8 and 4 bits: bitsandbytes; GPTQ and AWQ: groups of 128.")
    cards = [*own.own_cards(), *gpu_keys()]
    gpu = select("gpu", cards, "Search the catalogue, or type a card's name as clouds say it.", typed=True)
    fact(lambda: text.gpu_facts(find_gpu(str(gpu))))
    return {
        "model": model,
        "own_model": configs.get(model),
        "base": base,
        "gpu": gpu,
        "tenants": _number("tenants", "Tenants", "Adapters on the card, one a tenant; 0: the base alone.", least=0),
        "max_num_seqs": _number("max_num_seqs", LABELS["max_num_seqs"], "`max_num_seqs`: answered together."),
        "max_model_len": _number(
            "max_model_len", LABELS["max_model_len"], "`max_model_len`: prompt and answer together.", step=1024
        ),
        "kv_cache_dtype": _choice(
            "kv_cache_dtype", LABELS["kv_cache_dtype"], get_args(CacheDtype), "`kv_cache_dtype`; auto: as the weights."
        ),
    }


def _adapters() -> dict[str, Any]:
    if not st.session_state.get("tenants", state.TENANTS):
        return {}
    with st.expander("Adapters", icon=":material/extension:", expanded=_opened("lora_r", "target_modules")):
        return {
            "lora_r": _number("lora_r", "Rank", "`r` of LoraConfig."),
            "target_modules": select(
                "target_modules",
                [state.default("target_modules"), ATTENTION],
                "Which linear layers have adapters: a choice, or names with commas (q_proj, v_proj).",
                typed=True,
            ),
            "autocast_adapter_dtype": st.toggle(
                "Adapters in float32",
                value=bool(state.default("autocast_adapter_dtype")),
                key="autocast_adapter_dtype",
                help="`autocast_adapter_dtype`: as PEFT keeps and saves adapters of a 16-bit base.",
                **URL,
            ),
            "num_tokens": st.number_input(
                "Tokens a tenant is trained on",
                min_value=1,
                value=None,
                step=1_000_000,
                key="num_tokens",
                help="`num_tokens`: hours and USD of training, both ways.",
                **URL,
            ),
        }


def _more() -> dict[str, Any]:
    opened = _opened("engine", "max_num_batched_tokens", "dtype")
    with st.expander("More settings", icon=":material/tune:", expanded=opened):
        return {
            "engine": _choice(
                "engine", "Cache of", get_args(Engine), "transformers' own, or vLLM's blocks of 16 tokens."
            ),
            "max_num_batched_tokens": _number(
                "max_num_batched_tokens",
                LABELS["max_num_batched_tokens"],
                "`max_num_batched_tokens`: longer prompts are taken in parts.",
                step=1024,
            ),
            "dtype": _choice("dtype", "Weights' dtype", get_args(Dtype), "`dtype`: of what is not quantized."),
        }


def _opened(*keys: str) -> bool:
    return any(key in st.query_params for key in keys)


def _choice(key: str, label: str, options: Sequence[str], help_text: str) -> str:
    index = list(options).index(state.default(key))
    return str(st.selectbox(label, options, index=index, key=key, help=help_text, **URL))


def _number(key: str, label: str, help_text: str, least: int = 1, step: int = 1) -> int:
    first = int(state.default(key))
    return int(st.number_input(label, min_value=least, value=first, step=step, key=key, help=help_text, **URL))
