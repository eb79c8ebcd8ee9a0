"""The parts of the Drills page: inputs, the question, its mark and derivation, the score."""

import time

import streamlit as st

from planner.drills.drill import TOPICS, Drill
from planner.drills.marking import Mark, mark, right_answer
from planner.drills.quantities import EXAMPLES
from planner.errors import RequestError
from ui.drill_state import MOCK_COUNT, MOCK_SECONDS, Session, begin
from ui.widgets import URL

_ICONS = {"right": (":material/check_circle:", "green"), "partly": (":material/check:", "orange")}
_WRONG = (":material/cancel:", "red")


def session() -> Session:
    """The session that the inputs ask for, begun anew when they change."""
    with st.sidebar:
        seed = st.number_input("Seed", min_value=0, value=1, step=1, key="seed", help="Asks the same again.", **URL)
        topics = st.pills("Topics", TOPICS, selection_mode="multi", key="topics", help="None chosen: all.", **URL)
        mock = st.toggle(
            "Mock interview",
            key="mock",
            help=f"{MOCK_COUNT} questions in {MOCK_SECONDS // 60} minutes; marks and derivations come at the end.",
            **URL,
        )
        again = st.button("Start anew", icon=":material/restart_alt:")
    kept: Session | None = st.session_state.get("drills")
    if kept is None or again or not kept.is_of(int(seed), list(topics), mock):
        kept = begin(int(seed), list(topics), mock, time.time())
        st.session_state["drills"] = kept
    return kept


def clock(found: Session) -> None:
    """What is left of a mock interview."""
    if found.mock and not found.is_over(time.time()):
        _ticking(found)


@st.fragment(run_every=5)
def _ticking(found: Session) -> None:
    left = found.seconds_left(time.time())
    st.progress(left / MOCK_SECONDS, f"{int(left) // 60} min {int(left) % 60:02d} s left")
    if not left:
        st.rerun()


def ask(found: Session) -> None:
    """The question at hand, and where it is answered."""
    drill = found.question
    of = f" of {MOCK_COUNT}" if found.mock else ""
    st.subheader(f"Question {found.number + 1}{of}: {drill.topic}", anchor=False)
    st.markdown(drill.text)
    if found.current is None:
        _form(found, drill)
    else:
        show_mark(drill, found.current)
        st.button("Next question", type="primary", icon=":material/arrow_forward:", on_click=found.go_on)


def _form(found: Session, drill: Drill) -> None:
    with st.form(f"drill_{found.seed}_{found.number}", border=False):
        answer = _field(found, drill)
        with st.container(horizontal=True):
            sent = st.form_submit_button("Check" if not found.mock else "Answer", type="primary")
            skipped = st.form_submit_button("Skip", type="tertiary")
    if not sent and not skipped:
        return
    try:
        found.answer(drill, Mark("wrong", 0, "Skipped.") if skipped else mark(drill, answer))
    except RequestError as error:
        st.warning(error.message, icon=":material/edit:")
    else:
        st.rerun()


def _field(found: Session, drill: Drill) -> str:
    key = f"answer_{found.seed}_{found.number}"
    if drill.choices:
        return str(st.radio("Your answer", drill.choices, index=None, horizontal=True, key=key) or "")
    if drill.kind == "open":
        return st.text_area("Your answer", key=key, placeholder="A few sentences, as you would say them")
    assert drill.quantity is not None
    return st.text_input("Your answer, with its unit", key=key, placeholder=f"as in {EXAMPLES[drill.quantity]}")


def show_mark(drill: Drill, found: Mark) -> None:
    """The mark, the planner's answer and its derivation."""
    icon, color = _ICONS.get(found.outcome, _WRONG)
    st.markdown(f":{color}[{icon} {found.text}]")
    if drill.kind == "open":
        st.markdown("**A good answer** (figures estimated)")
        st.markdown(drill.answer)
        lines = [
            f"- {':material/check:' if point in found.hit else ':material/remove:'} {point}"
            for point in drill.derivation
        ]
        st.markdown("**Points to hit**\n\n" + "\n".join(lines))
        return
    st.markdown(f"**Answer** (estimated): {right_answer(drill)}")
    st.code("\n".join(drill.derivation), language=None, wrap_lines=True)


def score(found: Session) -> None:
    """Points by topic, of this session."""
    if not found.score.asked or (found.mock and not found.is_over(time.time())):
        return
    st.subheader("Score", anchor=False)
    with st.grid(4, min_column_width=150):
        st.metric("In all", found.score.text(), border=True)
        for topic, (points, asked) in found.score.by_topic.items():
            st.metric(topic.capitalize(), f"{points:.3g} of {asked}", border=True)


def result(found: Session) -> None:
    """A mock interview's end: every question with its mark and derivation."""
    reason = "All questions are answered." if found.number >= MOCK_COUNT else "The time is over."
    st.subheader(f"{reason} {found.score.text()} points", anchor=False)
    for number, (drill, one) in enumerate(found.marks, 1):
        icon, color = _ICONS.get(one.outcome, _WRONG)
        with st.expander(f":{color}[{icon}] {number}. {drill.text}"):
            show_mark(drill, one)
