"""The parts of the Learn page: walk-throughs drawn block by block, and the table of claims."""

import pandas as pd
import streamlit as st

from planner.catalog.claims import find_claim, list_claims
from planner.catalog.references import find_reference
from planner.errors import PlannerError
from planner.learn.blocks import Block, Code, Formula, Grid, Heading
from planner.learn.claims.checked import VERDICTS
from planner.learn.claims.checks import check_claim, explanation
from planner.learn.claims.report import computed, figures_text, stated
from planner.learn.markdown import to_markdown
from planner.learn.topics import TOPICS, TOURS
from planner.learn.walkthrough import Walkthrough, walk_through
from planner.schema import PlanRequest
from ui.widgets import URL, one_of
from ui.wording import on_page

WALK_THROUGHS, CLAIMS = "walk-throughs", "claims checked"
_ICONS = {"holds": "check_circle", "holds only if": "rule", "does not hold": "cancel"}


def what_to_show() -> str:
    """Walk-throughs or claims."""
    return one_of("learn", "Show", (WALK_THROUGHS, CLAIMS), WALK_THROUGHS)


def which_topic() -> str:
    """A tour of several topics, or one of them, by the names of `explain`; what it answers stands below."""
    names = [f"tour: {name}" for name in TOURS] + list(TOPICS)
    hint = "A tour is several topics, under ten minutes to read."
    name = str(st.selectbox("Topic", names, key="topic", help=hint, filter_mode="contains", **URL))
    st.caption(TOPICS[name].question if name in TOPICS else " → ".join(TOPICS[t].title for t in _topics(name)))
    return name


def _topics(name: str) -> tuple[str, ...]:
    """The topics of what was chosen: "tour: lora" is a tour, "nf4" a topic."""
    return (name,) if name in TOPICS else TOURS[name.removeprefix("tour: ")]


def walk_throughs(name: str, request: PlanRequest) -> None:
    """The topic, or each of a tour's; what this model or these settings have no use for is said in one line."""
    found = []
    for topic in _topics(name):
        try:
            found.append(_walk(topic, request.model_dump_json(exclude_unset=True)))
        except PlannerError as error:
            st.warning(f"{TOPICS[topic].title}: {on_page(error.message)}", icon=":material/info:")
    for walk in found:
        for block in walk.blocks:
            _draw(block)
    if found:
        _take_away(name, found)


@st.cache_data(max_entries=300, show_spinner=False)
def _walk(topic: str, request_json: str) -> Walkthrough:
    return walk_through(topic, PlanRequest.model_validate_json(request_json))


def _draw(block: Block) -> None:
    if isinstance(block, Heading):
        (st.header if block.level == 1 else st.subheader)(block.text, anchor=False)
    elif isinstance(block, Formula):
        st.latex(block.latex)
    elif isinstance(block, Grid):
        _table(block)
    elif isinstance(block, Code):
        st.code(block.text, language=block.language, wrap_lines=True)
    else:
        st.markdown(block.markdown)


def _table(table: Grid) -> None:
    """Cells are Markdown; a table that is wider than the page scrolls by itself."""
    names = [f"{name}\u200b" * (i + 1) if name in table.columns[:i] else name for i, name in enumerate(table.columns)]
    frame = pd.DataFrame(list(table.rows), columns=names)
    st.table(frame.set_index(names[0]))


def _take_away(name: str, found: list[Walkthrough]) -> None:
    document = "\n".join(to_markdown(walk.blocks, "latex") for walk in found)
    st.download_button(
        "Markdown",
        document,
        file_name=f"tunebudget-{name.removeprefix('tour: ')}.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
        help="With LaTeX formulas; to print, use the browser's own command.",
    )


# -- claims ----------------------------------------------------------------------------------------------------------


def claims() -> None:
    """Every claim with its verdict beside what is computed; a chosen one in full."""
    st.caption(
        "What is often said about fine-tuning, put to the planner over the settings that it leaves open: models of "
        "that size, precision, optimizer, stack, adapters, checkpointing, batch, length. Choose a row for the reasons."
    )
    with st.spinner("Checking the claims: some seconds the first time"):
        frame = _claims_frame()
    counts = frame["verdict"].value_counts()
    with st.grid(3, min_column_width=150):
        for verdict in VERDICTS:
            st.metric(verdict.capitalize(), int(counts.get(verdict, 0)), border=True)
    verdict = one_of("verdict", "Verdict", ("all", *VERDICTS), "all")
    shown = frame if verdict == "all" else frame[frame["verdict"] == verdict]
    event = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"claims_{verdict}",
        alt="Claims with what they state, the verdict and the computed range",
        column_config={"claim": st.column_config.TextColumn(width="large")},
    )
    rows = event.selection.rows if event else []
    for number in rows or range(min(len(shown), 1)):
        claim(str(shown.iloc[number]["id"]))


@st.cache_data(show_spinner=False)
def _claims_frame() -> pd.DataFrame:
    rows = []
    for row in list_claims():
        checked = check_claim(row.id)
        rows.append(
            {
                "id": row.id,
                "claim": row.claim,
                "verdict": checked.verdict,
                "states": stated(row),
                "computed or published": computed(checked),
                "agrees in": f"{checked.agreeing:,} of {checked.settings:,}",
                "topic": row.topic,
            }
        )
    return pd.DataFrame(rows)


def claim(name: str) -> None:
    """One claim: the verdict, the figures, where it holds, the mistake behind it, and sources."""
    row, checked = find_claim(name), check_claim(name)
    st.subheader(f"{row.claim}", anchor=False)
    verdict = f":material/{_ICONS[checked.verdict]}: **{checked.verdict.capitalize()}.**"
    st.markdown(f"{verdict} {figures_text(row, checked)}")
    st.markdown(explanation(name))
    if checked.only_if and checked.verdict != "holds":
        st.markdown("Where it holds:\n" + "\n".join(f"- {condition}" for condition in checked.only_if))
    if row.leaves_open:
        st.caption(f"It leaves open: {row.leaves_open}.")
    works = dict.fromkeys((find_reference(key).work, find_reference(key).url) for key in checked.sources)
    for work, url in works:
        st.caption(f"Source: {work}, {url}")
