"""Invariants of data/models/: every assertion names the row it is about."""

import json
import re
from collections import Counter

import pytest

from planner.catalog import ModelRow, list_models, load_config
from planner.catalog.names import model_spelling
from planner.catalog.tables import DATA_DIR

CONFIGS = DATA_DIR / "models" / "configs"

#: Collected after the models, beside published runs: "may be a stand-in", says their note.
NUM_STAND_INS = 18


@pytest.fixture(scope="module")
def models() -> list[ModelRow]:
    return list_models()


def test_at_least_the_collected_models_are_there(models: list[ModelRow]) -> None:
    assert len(models) >= 263


def test_ids_are_unique_and_look_like_hub_ids(models: list[ModelRow]) -> None:
    repeated = [name for name, count in Counter(row.id for row in models).items() if count > 1]
    assert not repeated
    for row in models:
        assert row.id.count("/") == 1, row.id


def test_no_two_models_answer_to_one_name(models: list[ModelRow]) -> None:
    owners: dict[str, str] = {}
    for row in models:
        for name in (row.id, *row.aliases):
            for spelling in {model_spelling(name), model_spelling(name.rpartition("/")[2])}:
                assert owners.setdefault(spelling, row.id) == row.id, f"{name}: {owners[spelling]} and {row.id}"


def test_every_row_has_source_licence_and_date(models: list[ModelRow]) -> None:
    for row in models:
        assert row.source.strip(), row.id
        assert row.license.strip(), row.id
        assert row.checked.year >= 2026, row.id
        assert 2018 <= int(row.released[:4]) <= row.checked.year, row.id
        assert 1 <= int(row.released[5:]) <= 12, row.id


def test_a_count_called_exact_says_where_it_was_published(models: list[ModelRow]) -> None:
    for row in models:
        if row.params_check != "built":
            assert row.params_source, row.id


def test_parameter_counts_are_those_of_the_name(models: list[ModelRow]) -> None:
    for row in models:
        assert 10**7 < row.params < 2 * 10**12, row.id


def test_every_config_exists_and_belongs_to_one_model(models: list[ModelRow]) -> None:
    named = Counter(row.config_file for row in models)
    assert not [name for name, count in named.items() if count > 1]
    assert set(named) == {path.name for path in CONFIGS.iterdir()}


def test_every_config_names_the_model_type_of_its_row(models: list[ModelRow]) -> None:
    for row in models:
        config = load_config(row)
        assert config["model_type"] == row.model_type, row.id
        assert row.config_file == row.id.replace("/", "--") + ".json"


def test_configs_hold_an_architecture_and_nothing_private() -> None:
    for path in CONFIGS.iterdir():
        text = path.read_text(encoding="utf-8")
        assert path.stat().st_size < 20_000, path.name
        assert not re.search(r"/(work|home|root|tmp)/", text), path.name
        assert isinstance(json.loads(text), dict), path.name


def test_stand_ins_are_marked_and_say_why(models: list[ModelRow]) -> None:
    stand_ins = [row for row in models if row.stand_in]
    assert len(stand_ins) == NUM_STAND_INS
    for row in stand_ins:
        assert "stand-in" in row.notes, row.id


@pytest.mark.parametrize(
    ("model_id", "params"),
    [
        ("openai-community/gpt2", 124_439_808),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
        ("meta-llama/Llama-3.1-405B", 405_853_388_800),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("Qwen/Qwen2.5-7B", 7_615_616_512),
        ("mosaicml/mpt-350m", 355_985_408),
    ],
)
def test_well_known_counts(models: list[ModelRow], model_id: str, params: int) -> None:
    assert {row.id: row.params for row in models}[model_id] == params
