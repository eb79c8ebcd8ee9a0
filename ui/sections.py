"""The parts of the Fit page, in the order in which a reader needs them.

pyarrow comes with the tables, which stand below the answer: it is imported there, so that a cold start answers sooner.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from planner.advise import Suggestion
from planner.answer import Plan
from planner.catalog import find_gpu
from planner.schema import PlanRequest
from planner.units import format_gib
from ui import charts, course_chart, figures, links, state, text
from ui.answers import Below
from ui.course_chart import Course
from ui.ledger import gib_columns
from ui.widgets import apply_changes, set_inputs
from ui.wording import on_page


def examples() -> None:
    """Three questions to start from, for a visit that began without one.

    Buttons that look like links: a link to the page one is on leaves its inputs as they are (Streamlit 1.67).
    """
    st.session_state.setdefault("began_empty", not st.query_params)
    if not st.session_state["began_empty"]:
        return
    with st.container(horizontal=True, gap="small"):
        for number, (label, values) in enumerate(state.EXAMPLES.items()):
            everything = state.defaults() | values
            st.button(
                label,
                key=f"example_{number}",
                type="tertiary",
                icon=":material/arrow_forward:",
                on_click=set_inputs,
                args=(everything,),
            )


def verdict(request: PlanRequest, plan: Plan) -> None:
    """The answer in a word, a sentence and four figures."""
    card = find_gpu(plan.gpu).name if plan.gpu else None
    st.subheader(text.verdict_heading(plan.verdict), anchor=False)
    st.markdown(f"{text.question(request, plan, card)}. {text.verdict_sentence(request, plan)}")
    changed = text.settings(request)
    st.caption(" ".join(filter(None, (f"With {changed}." if changed else "", text.trained(plan)))))
    with st.grid(4, min_column_width=150):
        st.metric(
            "Needs (estimated)",
            figures.short_gib(plan.resident_bytes),
            text.short_band(plan),
            delta_color="off",
            delta_arrow="off",
            help="Under it the 90% band; GiB and GB are told apart in the notes.",
            border=True,
            height="stretch",
        )
        _card_metrics(plan)


def _card_metrics(plan: Plan) -> None:
    if plan.usable_bytes is None or plan.headroom_bytes is None:
        return
    short = plan.headroom_bytes < 0
    st.metric(
        "Card offers",
        figures.short_gib(plan.usable_bytes),
        help="What a process can allocate.",
        border=True,
        height="stretch",
    )
    left = figures.short_gib(abs(plan.headroom_bytes))
    st.metric("Missing" if short else "Left over", left, border=True, height="stretch")
    st.metric(
        "Chance to fit",
        figures.probability(None if plan.oom_probability is None else 1 - plan.oom_probability),
        help="Estimated from the band; tight: the band reaches from below the card's limit to beyond it.",
        border=True,
        height="stretch",
    )


def suggestions(found: Below) -> None:
    """What would make it fit, as buttons that apply the change; what only helps stands apart."""
    if not found.suggestions:
        return
    costed = [(s, _costs(s, figures)) for s, figures in zip(found.suggestions, found.costs, strict=True)]
    enough = [pair for pair in costed if pair[0].verdict == "fits"]
    helpful = [pair for pair in costed if pair[0].verdict != "fits"]
    st.subheader("Make it fit", anchor=False)
    if enough:
        _suggestion_grid(enough, "enough")
    if helpful:
        with st.expander("These help, but are not enough alone", expanded=not enough):
            _suggestion_grid(helpful, "helpful")


def _costs(suggestion: Suggestion, figures: str | None) -> str:
    """What a change costs in words, and in time and money where both are known."""
    return ". ".join(filter(None, (f"Costs: {suggestion.price}", figures))) + "."


def _suggestion_grid(found: Sequence[tuple[Suggestion, str]], group: str) -> None:
    grid = st.grid(3, min_column_width=240, border=True)
    for index, (suggestion, costs) in enumerate(found):
        with grid.cell():
            _suggestion(suggestion, costs, f"{group}_{index}")


def _suggestion(suggestion: Suggestion, costs: str, key: str) -> None:
    values = state.values_from_changes(suggestion.changes)
    if values is None:
        st.markdown(f"**{suggestion.label}**")
    else:
        st.button(
            suggestion.label, key=f"apply_{key}", on_click=apply_changes, args=(values,), width="stretch", wrap=True
        )
    st.markdown(text.suggestion_effect(suggestion))
    st.caption(costs)


def timeline(plan: Plan, course: Course) -> None:
    """One training step, layer by layer; the table holds the largest moment of each phase."""
    st.subheader("One training step", anchor=False)
    st.caption(
        "The highest moment of every layer, forward and backward (estimated): tensors and the CUDA context, without "
        f"the allocator's slack of {format_gib(plan.slack_bytes)}."
    )
    figure, alt = course_chart.course_figure(course, plan), course_chart.course_alt(course, plan)
    st.plotly_chart(figure, key="timeline", config=charts.CONFIG, alt=alt)
    tabled = st.expander("Both pictures as tables", key="tables", icon=":material/table:", on_change="rerun")
    if tabled.open:
        from ui import tables

        with tabled:
            _table(tables.category_table(plan), "Parts at the peak, estimated")
            _table(tables.phase_table(plan), "GiB live by phase, estimated")


def _table(table: Any, alt: str) -> None:
    st.dataframe(table, column_config=gib_columns(), hide_index=True, alt=alt)


def limits(request: PlanRequest, plan: Plan, found: Below) -> None:
    """The largest batch and the longest sequence whose verdict is "fits"."""
    if plan.verdict is None:
        return
    st.subheader("The most that fits", anchor=False)
    st.caption("With all other settings as they are, and the whole band on the card (estimated); and what is saved.")
    with st.grid(3, min_column_width=200):
        st.metric(
            f"Largest batch at {request.max_length:,} tokens",
            figures.none_or(found.largest_batch),
            border=True,
        )
        st.metric(
            f"Longest sequence at batch {request.per_device_train_batch_size:,}",
            figures.none_or(found.longest_sequence, " tokens"),
            border=True,
        )
        what = "model" if plan.method == "full" else "adapter"
        st.metric(
            f"Saved {what} on disk",
            figures.on_disk(plan.adapter_bytes),
            border=True,
            help="Files are counted in 1000s: a MB is 10⁶ bytes, a GB 10⁹.",
        )


def notes(plan: Plan) -> None:
    """What the plan did with the request that a reader should know, and the units."""
    st.subheader("Notes", anchor=False)
    st.markdown("\n".join(f"- {text.as_sentence(on_page(note))}" for note in (*plan.notes, text.UNITS_NOTE)))


def take_away(request: PlanRequest, plan: Plan, values: Mapping[str, Any]) -> None:
    """The link, the command and the files that give the same answer."""
    st.subheader("Take it with you", anchor=False)
    st.caption(text.take_away(request))
    st.code(links.cli_command(request), language="bash", wrap_lines=True)
    st.code(links.link(st.context.url or "", values), language=None, wrap_lines=True)
    with st.container(horizontal=True):
        _download("Request as JSON", "request.json", request.model_dump_json(indent=2, exclude_unset=True))
        _download("Answer as JSON", "answer.json", plan.model_dump_json(indent=2))


def _download(label: str, file_name: str, content: str) -> None:
    st.download_button(
        label, content, file_name, "application/json", on_click="ignore", icon=":material/download:", key=file_name
    )
