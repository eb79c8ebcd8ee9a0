"""Invariants of data/measurements/: every assertion names the row it is about."""

import json
from collections import Counter
from pathlib import Path

import pytest

from planner.catalog.measurements import explanations, frameworks, list_own_runs, list_runs
from planner.catalog.rows.measurement import MeasurementRow, source_of
from planner.schema import STACKS

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def runs() -> list[MeasurementRow]:
    return list_runs()


def test_all_collected_figures_are_there(runs: list[MeasurementRow]) -> None:
    by_kind = Counter("ran out" if row.ran_out else row.source for row in runs)
    assert by_kind["ran out"] == 51 + 8
    assert by_kind["foundation-model-stack/fms-acceleration"] == 226
    assert by_kind["AnswerDotAI/fsdp_qlora"] == 19
    assert len(runs) == 413 + 184 + 51 + 83


def test_ids_are_unique(runs: list[MeasurementRow]) -> None:
    ids = [row.id for row in runs] + [row.id for row in list_own_runs()]
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_every_figure_has_its_source_and_its_words(runs: list[MeasurementRow]) -> None:
    for row in runs:
        assert row.source_url.startswith("https://"), row.id
        assert len(row.quote) > 5, row.id
        assert row.source_title, row.id


def test_figures_are_of_a_plausible_size(runs: list[MeasurementRow]) -> None:
    """A unit mistaken for another is a factor of a thousand off."""
    for row in runs:
        assert 1e8 < row.measured_bytes < 1e12, row.id


def test_adapters_and_quantization_are_stated_where_the_configuration_is_full(runs: list[MeasurementRow]) -> None:
    for row in runs:
        if row.completeness == "full" and row.method in ("lora", "qlora"):
            assert row.lora_r and row.lora_targets, row.id
        assert (row.quant is not None) >= (row.method == "qlora"), row.id


def test_several_devices_are_shared_in_a_named_way_where_the_configuration_is_full(runs: list[MeasurementRow]) -> None:
    for row in runs:
        if row.completeness == "full" and row.num_gpus == 1:
            assert row.sharding in ("none", "zero3", "fsdp_full"), row.id


def test_every_framework_has_its_stack_or_none_with_a_reason(runs: list[MeasurementRow]) -> None:
    assert {(row.framework, row.framework_version) for row in runs} == frameworks().keys()
    assert {row.stack.partition("@")[0] for row in frameworks().values()} <= {"", *STACKS}


def test_every_explanation_is_of_a_run_and_says_who_checked_it(runs: list[MeasurementRow]) -> None:
    assert explanations().keys() <= {row.id for row in runs}
    for row in explanations().values():
        assert row.explanation.endswith("."), row.id


@pytest.mark.parametrize("name", ["measured_cpu", "measured_clients"])
def test_our_own_runs_are_those_of_the_golden_files(name: str) -> None:
    lines = [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]
    kept = [row for row in list_own_runs() if row.source == f"tests/golden/{name}.jsonl"]
    assert [(row.request, row.weights_bytes, row.peak_bytes, row.steady_bytes) for row in kept] == [
        (line["request"], *(line["measured"].get(f"{what}_bytes") for what in ("weights", "peak", "steady")))
        for line in lines
    ]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://github.com/Lightning-AI/litgpt/blob/main/tutorials/resource-tables.md", "Lightning-AI/litgpt"),
        ("https://pytorch.org/torchtune/main/tutorials/lora_finetune.html", "pytorch/torchtune"),
        ("https://huggingface.co/docs/peft/accelerate/fsdp", "huggingface/peft"),
        ("https://rocm.blogs.amd.com/artificial-intelligence/llama-lora/README.html", "rocm.blogs.amd.com"),
    ],
)
def test_a_source_is_the_project_behind_an_address(url: str, source: str) -> None:
    assert source_of(url) == source
