"""The Labs page in AppTest, and what its laboratories compute."""

from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from planner.labs.lesson import KINDS, lesson, tensor
from planner.labs.nf4 import dequantize, quantize
from planner.units import format_gib
from ui import lab_charts, lab_tables, state
from ui.answers import plan_of

Visit = Callable[..., AppTest]


@pytest.fixture
def open_labs(open_page: Visit) -> Visit:
    def visit(**query: str) -> AppTest:
        return open_page(**query).switch_page("ui/pages/labs.py").run()

    return visit


@pytest.mark.parametrize("kind", KINDS)
def test_nf4_of_every_kind(open_labs: Visit, kind: str) -> None:
    app = open_labs()
    app.selectbox(key="weights").set_value(kind).run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 2
    assert app.metric[0].value == "8.000 MiB"
    assert [m.delta for m in app.metric] == ["4.000 bits a weight", "0.500 bits a weight", "0.127 bits a weight"]


def test_the_peak_moves_with_the_inputs(open_labs: Visit) -> None:
    app = open_labs(lab="Where the peak falls")
    said = {}
    for checkpointing in (False, True):
        app.toggle(key="lab_checkpointing").set_value(checkpointing)
        app.slider(key="lab_batch").set_value(8).run()
        assert not app.exception
        values = state.defaults() | {"per_device_train_batch_size": 8, "gradient_checkpointing": checkpointing}
        plan = plan_of(state.request_from_values(values))
        said[checkpointing] = next(block.value for block in app.markdown if "the peak of" in block.value)
        assert format_gib(plan.peak_bytes + plan.runtime_bytes) in said[checkpointing]
    assert said[False] != said[True]


def test_an_outlier_costs_its_block_dear_and_no_other() -> None:
    plain, off = tensor("normal", 1, 1), tensor("normal with an outlier", 1, 50)
    errors = [np.abs(dequantize(quantize(w)) - w) for w in (plain, off)]
    assert errors[1][:64].mean() > 5 * errors[0][:64].mean()
    assert np.array_equal(errors[0][64:], errors[1][64:])


def test_double_quantization_adds_little_error() -> None:
    rms = {one.name: one.rms for one in lesson("normal", 3, 1).errors}
    assert rms["nf4"] < rms["nf4, double quantization"] < 1.05 * rms["nf4"]
    assert rms["nf4"] < rms["int4"] and rms["nf4"] < rms["fp4"]


def test_the_block_s_table_adds_up() -> None:
    frame = lab_tables.block_frame(lesson("normal", 0, 1))
    assert len(frame) == 64
    assert np.allclose(frame["comes back as"] - frame["weight"], frame["error"])
    assert np.allclose(frame["over the constant"].abs().max(), 1)


def test_pictures_say_what_they_show() -> None:
    found = lesson("zero", 0, 1)
    assert "nf4 16, fp4 15, int4 15" in lab_charts.levels_alt(found)
    assert lab_charts.errors_alt(found).endswith("nf4, double quantization 0.00%.")
