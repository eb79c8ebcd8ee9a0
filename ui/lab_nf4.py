"""The NF4 laboratory: a block of weights quantized by hand."""

import streamlit as st

from planner.labs.lesson import KINDS, NUM_BLOCKS, Lesson, lesson
from planner.memory.quantized import BLOCK_4BIT, constants_bytes, packed_bytes
from planner.units import MIB
from ui import charts, lab_charts
from ui.widgets import URL

_OUTLIER = 20
#: Inputs and outputs of the layer whose bytes are shown.
_WIDTH = 4096


def laboratory() -> None:
    """Inputs, the levels, every weight of a block, errors, and bytes."""
    st.subheader("NF4 by hand", anchor=False)
    st.caption(
        f"{NUM_BLOCKS} blocks of {BLOCK_4BIT} weights, quantized as bitsandbytes does; codes and constants are equal "
        "to its own in every bit, which a test holds. Each block is divided by its largest magnitude, then each weight "
        "takes the nearest level."
    )
    found = _chosen()
    st.plotly_chart(
        lab_charts.levels_figure(found), key="levels", config=charts.CONFIG, alt=lab_charts.levels_alt(found)
    )
    _errors(found)
    _bytes()
    _block(found)


def _chosen() -> Lesson:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Weights", KINDS, key="weights", help="How they are distributed.", width=260, **URL)
        seed = st.number_input(
            "Seed", min_value=0, value=0, step=1, key="lab_seed", help="Draws the same weights again.", width=160, **URL
        )
        outlier = _OUTLIER
        if kind == "normal with an outlier":
            help_text = "How many times the spread of the others one weight of the first block is."
            outlier = st.slider("Outlier", 1, 100, _OUTLIER, key="outlier", help=help_text, width=300, **URL)
    return _lesson(kind, int(seed), float(outlier))


@st.cache_data(max_entries=100, show_spinner=False)
def _lesson(kind: str, seed: int, outlier: float) -> Lesson:
    return lesson(kind, seed, outlier)  # type: ignore[arg-type]


def _errors(found: Lesson) -> None:
    st.markdown("**The error**, root mean square over all blocks, as a share of the weights' own root mean square:")
    figure, alt = lab_charts.errors_figure(found), lab_charts.errors_alt(found)
    st.plotly_chart(figure, key="errors", config=charts.CONFIG, alt=alt)


def _bytes() -> None:
    """What is kept of a linear layer, with and without double quantization."""
    count = _WIDTH * _WIDTH
    rows = {"codes": packed_bytes(count), "constants in float32": constants_bytes(count, False)}
    rows["constants with double quantization"] = constants_bytes(count, True)
    st.markdown(f"**What is kept** of a linear layer of {_WIDTH:,} x {_WIDTH:,}:")
    with st.grid(3, min_column_width=200):
        for name, size in rows.items():
            st.metric(
                name.capitalize(),
                f"{size / MIB:.3f} MiB",
                f"{8 * size / count:.3f} bits a weight",
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
            )
    plain, double = (8 * constants_bytes(count, nested) / count for nested in (False, True))
    st.caption(f"Double quantization saves {plain - double:.3f} bits a weight: the constants are quantized to 8 bits.")


def _block(found: Lesson) -> None:
    """Every weight of the first block, in an expander."""
    from ui import lab_tables

    with st.expander(f"The first block, weight by weight (its constant is {float(found.shown['nf4'].absmax[0]):.6g})"):
        after = f"{found.nested_constant:.6g}"
        st.caption(f"After double quantization its constant is read as {after}.")
        st.dataframe(lab_tables.block_frame(found), hide_index=True, alt="Each weight of the block with code and level")
