"""The sidebar: one widget for each field of the request, bound to the URL."""

from typing import Any, NoReturn

import streamlit as st

from planner.catalog import find_gpu, find_model
from planner.hub import looked_up
from ui import own, saved, state, text
from ui.answers import gpu_keys, model_ids
from ui.input_groups import GROUPS, adapters, more, quantization, sharing
from ui.money_inputs import dataset, pricing
from ui.widgets import choice, count, fact, held_inputs, one_of, select, set_inputs
from ui.wording import LABELS


def sidebar(page: str) -> dict[str, Any]:
    """Draw the inputs; what each of them holds, by key. Those that the method has no use for are left out.

    page: its name; whoever comes from another page of the same visit finds the question as it was there.
    """
    _remember_open_groups()
    _bring_question(page)
    with st.sidebar:
        values = _question()
        values |= more()
        if values["num_gpus"] > 1:
            values |= sharing()
        if values["method"] != "full":
            values |= adapters()
        if values["method"] == "qlora":
            values |= quantization()
        values |= dataset()
        values |= pricing()
        saved.questions(values)
        st.button("Start over", icon=":material/restart_alt:", on_click=set_inputs, args=(state.defaults(),))
    came = st.session_state.get("question", (page, {}))[0] != page
    ask_on(page, values)
    if came or "settling" in st.session_state:
        # anew in every run of the whole page: only the fragment's own run, by its clock, starts another
        st.session_state["settling"] = "new"
        with st.sidebar:
            _settle()
    return values


@st.fragment(run_every=0.3)
def _settle() -> None:
    """Bring the question once more when the page stands: only inputs that were drawn reach its address.

    Streamlit 1.67 writes a value set by code into the address where its widget is known from a run that was finished.
    """
    stage = st.session_state.get("settling")
    if stage == "new":
        st.session_state["settling"] = "drawn"
    elif stage == "drawn":
        del st.session_state["settling"]
        st.session_state["bring_again"] = True
        st.rerun()


def ask_on(page: str, values: state.Values) -> None:
    """Remember the question at hand and the page it is asked on: the next page takes it from there."""
    st.session_state["question"] = (page, dict(values))


def keep_question(page: str) -> None:
    """On a page without the inputs: the question stays at hand, and the next page with inputs brings it."""
    ask_on(page, question_at_hand())


def question_at_hand() -> dict[str, Any]:
    """The values of the inputs as they were left, the first question's where none was asked."""
    values: dict[str, Any] = st.session_state.get("question", ("", state.defaults()))[1]
    return values


def ask_about(page: str, values: state.Values) -> NoReturn:
    """Put values into the question at hand and open it on the Fit page."""
    ask_on(page, {**question_at_hand(), **values})
    # Streamlit 1.67 refuses to clear parameters that inputs are bound to, unless new ones are given.
    st.switch_page("ui/pages/fit.py", query_params={})


def _bring_question(page: str) -> None:
    """Streamlit forgets the inputs of a page that is left: put the question asked there into this page's."""
    asked_on, values = st.session_state.get("question", (page, {}))
    if asked_on != page or st.session_state.pop("bring_again", False):
        set_inputs(values)


def _remember_open_groups() -> None:
    """Open the groups that the link sets something of, once a visit: they stay as the visitor leaves them."""
    opened = {name for name, keys in GROUPS.items() if any(key in st.query_params for key in keys)}
    st.session_state.setdefault("open_groups", opened)


def _question() -> dict[str, Any]:
    configs = own.own_models()
    model = select(
        "model",
        [*configs, *model_ids()],
        "Search the catalogue, or type an alias or any id of the Hub.",
        typed=True,
    )
    fact(lambda: model_facts(model))
    method = one_of(
        "method",
        LABELS["method"],
        state.choices("method"),
        state.default("method"),
        "full: all weights; lora: adapters on frozen weights; qlora: adapters on a 4-bit base.",
        on_change=_take_method,
    )
    st.session_state["method_before"] = method
    cards = [*own.own_cards(), *gpu_keys()]
    gpu = select("gpu", cards, "Search the catalogue, or type a card's name as clouds say it.", typed=True)
    fact(lambda: text.gpu_facts(find_gpu(str(gpu))))
    return {
        "model": model,
        "own_model": configs.get(model),
        "method": method,
        "gpu": gpu,
        **_cards(),
        "max_length": count("max_length", "`max_length`: tokens of one sequence.", 256),
        "per_device_train_batch_size": count(
            "per_device_train_batch_size", "`per_device_train_batch_size`: sequences in one forward pass."
        ),
    }


def _take_method() -> None:
    """Put in what the named stack has for the method that was chosen."""
    held = held_inputs() | {"method": st.session_state["method_before"]}
    set_inputs(state.change_of_method(held, str(st.session_state.get("method"))))


def model_facts(model: str) -> str:
    """One line on a model, where its config is from for one that is not in the catalogue."""
    if model in own.own_models():
        return "Your own model: kept in this visit, not in links."
    return looked_up(model) or text.model_facts(find_model(model))


def _cards() -> dict[str, Any]:
    """How many cards, and, where there are several, how they share the work."""
    num_gpus = count("num_gpus", "`num_gpus`: cards of all machines together.")
    if num_gpus == 1:
        return {"num_gpus": num_gpus}
    strategy = choice("strategy", f"`strategy`: {state.description('strategy')}.")
    return {"num_gpus": num_gpus, "strategy": strategy}
