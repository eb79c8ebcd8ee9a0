"""The Sweep page in AppTest, and its tables, pictures and files without it."""

import io
import shlex
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from planner.cli.root import tunebudget
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import PlanRequest, parse_request
from planner.sweep.columns import COLUMNS
from planner.sweep.search import search
from ui import sweep, sweep_charts, sweep_tables
from ui.sweep_sections import _file

Visit = Callable[..., AppTest]
REQUEST = parse_request({"model": "llama-3.1-8b", "method": "lora", "gpu": "h100", "gradient_checkpointing": True})
SMALL = sweep.Choice(gpus=("rtx-4090",), counts=("1", "2"))


@pytest.fixture
def open_sweep(open_page: Visit) -> Visit:
    """The Sweep page with these URL parameters."""

    def visit(**query: str) -> AppTest:
        return open_page(**query).switch_page("ui/pages/sweep.py").run()

    return visit


def test_a_first_visit_has_a_table_a_grid_and_a_front(open_sweep: Visit) -> None:
    app = open_sweep()
    assert not app.exception and not app.error
    headings = [heading.value for heading in app.subheader]
    assert headings[0].endswith(" of 60 fit")
    assert headings[1:] == ["What fits by batch and length", "Time against money", "The cheapest and the fastest plan"]
    assert len(app.get("plotly_chart")) == 2
    assert len(app.get("download_button")) == 6


def test_the_table_follows_the_inputs(open_sweep: Visit) -> None:
    app = open_sweep()
    app.multiselect(key="sweep_methods").set_value(["qlora"]).run()
    app.multiselect(key="sweep_models").set_value(["openai-community/gpt2"]).run()
    app.multiselect(key="sweep_lengths").set_value(["512", "777"]).run()
    assert not app.exception and not app.error
    frame = app.dataframe[0].value
    assert set(frame.model) == {"meta-llama/Llama-3.1-8B", "openai-community/gpt2"}
    assert set(frame.method) == {"qlora"} and set(frame.length) == {512, 777, 1024}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sweep_gpus", "rtx-9999", "gpu 'rtx-9999' is not in the catalogue"),
        ("sweep_models", "no-such-model-xyz", "no-such-model-xyz"),
        ("sweep_lengths", "many", "length 'many': give a whole number"),
        ("sweep_counts", "0", "Number of GPUs"),
    ],
)
def test_what_is_unknown_is_one_line(open_sweep: Visit, key: str, value: str, said: str) -> None:
    app = open_sweep()
    app.multiselect(key=key).set_value([value]).run()
    assert not app.exception
    assert len(app.error) == 1 and said in app.error[0].value and "\n" not in app.error[0].value


def test_a_search_finds_the_cheapest_and_the_fastest(open_sweep: Visit) -> None:
    app = open_sweep(num_tokens="100000000")
    app.multiselect(key="sweep_methods").set_value(["qlora"]).run()
    app.toggle(key="sweep_search").set_value(True).run()
    assert not app.exception and not app.warning
    assert any(text.value.startswith("The cheapest plan: qlora, ") for text in app.markdown)
    assert len(app.get("plotly_chart")) == 3
    app.number_input(key="budget_usd").set_value(0.001).run()
    assert any("No option fits within these limits" in text.value for text in app.markdown)


def test_too_many_rows_are_the_command_line_s() -> None:
    with pytest.raises(PlannerError, match="rows are more than the page shows"):
        sweep.table_axes(REQUEST, sweep.Choice(lengths=tuple(map(str, range(1, 600)))))


def test_the_command_writes_the_same_table(tmp_path: Any) -> None:
    axes = sweep.table_axes(REQUEST, SMALL)
    words = shlex.split(sweep.cli_command(axes, "-o", str(tmp_path / "table.csv")))
    result = CliRunner().invoke(tunebudget, words[1:])
    assert result.exit_code == 0, result.stderr
    content = _file("csv", lambda: sweep.table_of(axes), COLUMNS, axes)()
    assert (tmp_path / "table.csv").read_bytes() == content
    assert len(pd.read_csv(io.BytesIO(content))) == axes.num_rows


def test_the_grid_says_what_the_plan_says() -> None:
    table = sweep.table_of(sweep.grid_axes(REQUEST))
    figure = sweep_charts.heat_figure(table)
    heat = figure.data[0]
    for y, batch in enumerate(sweep.GRID_BATCHES):
        for x, length in enumerate(sweep.GRID_LENGTHS):
            changed = {"per_device_train_batch_size": batch, "max_length": length}
            plan = estimate(PlanRequest(**(REQUEST.model_dump(exclude_unset=True) | changed)))
            assert heat.text[y][x].startswith(sweep_charts.MARKS[str(plan.verdict)][0])
            assert heat.customdata[y][x].startswith(f"{plan.verdict}, ")
    assert "batch 1: up to " in sweep_charts.heat_alt(table, "some model")


def test_the_front_of_the_rows_is_in_the_picture() -> None:
    axes = sweep.table_axes(REQUEST, SMALL)
    options = sweep.rows_as_options(sweep.table_of(axes), has_dataset=False)
    line = sweep_charts.front_figure(options).data[1]
    assert list(line.x) == sorted(line.x) and list(line.y) == sorted(line.y, reverse=True)
    assert options.of == "a million tokens"
    alt = sweep_charts.front_alt(options)
    assert all(options.names[place] in alt for place in options.front)


def test_a_search_is_shown_with_its_reasons() -> None:
    found = search(sweep.goal_of(REQUEST, sweep.Choice(methods=("qlora",)), None, 50.0))
    options = sweep.search_as_options(found, has_dataset=False)
    assert set(options.front) == {int(place) for place in found.front}
    assert len(sweep_tables.front_frame(found)) == len(found.front)
    cards = sweep_tables.cards_frame(found)
    assert cards["why not"].str.len().min() > 0
    assert set(cards.GPU).isdisjoint({found.options.value("gpu", int(place)) for place in found.front})
    assert {row["gradient_checkpointing"] for row in found.rows(list(range(50)))} == {"true"}
