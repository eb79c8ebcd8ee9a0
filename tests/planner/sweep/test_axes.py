"""Names and sizes of a table: looked up once, and refused in one line."""

import re
from typing import Any

import pytest

from planner.catalog import list_gpus, list_models
from planner.errors import PlannerError
from planner.sweep.notes import notes
from planner.sweep.settle import settled
from tests.planner.sweep.tables import axes


def test_a_model_by_two_names_is_one() -> None:
    assert list(axes(models=["gpt2", "openai-community/gpt2"]).models.values()) == ["openai-community/gpt2"]


def test_all_is_the_catalogue_and_nothing_is_what_is_rented() -> None:
    assert len(axes(models=["gpt2"], gpus=["all"]).gpus) == len(list_gpus())
    assert len(axes(models=["all"]).models) == len(list_models())
    rented = [gpu.key for gpu in axes(gpus=[]).gpus]
    assert "h100-sxm" in rented and "apple-m4-max" not in rented


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": []}, "--models is missing"),
        ({"models": ["gpt2", "nothing-like-it"]}, "'nothing-like-it' is neither in the catalogue"),
        ({"gpus": ["t4", "nix"]}, "gpu 'nix' is not in the catalogue"),
        ({"methods": ["full", "magic"]}, "(given: 'magic')"),
        ({"lengths": [512, 0]}, "max_length"),
        ({"counts": [1, 2**18]}, "num_gpus"),
        ({"batches": [2**30]}, "per_device_train_batch_size"),
        ({"base": {"optim": "adam_of_mine"}}, "optim"),
        ({"base": {"parallelism": {"strategy": "magic"}}}, "parallelism.strategy"),
    ],
)
def test_what_is_unknown_is_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(PlannerError) as error:
        axes(**given)
    assert said in error.value.message and "\n" not in error.value.message


def test_many_cards_stand_in_machines_of_eight() -> None:
    nodes = {count: settled({}, "gpt2", "lora", count).num_nodes for count in (1, 8, 9, 16, 12, 64)}
    assert nodes == {1: 1, 8: 1, 9: 3, 16: 2, 12: 2, 64: 8}
    assert settled({"num_nodes": 4}, "gpt2", "lora", 16).num_nodes == 4


def test_the_notes_say_settings_and_the_days_of_prices() -> None:
    said = dict(notes(axes(counts=[1, 8], base={"gradient_checkpointing": True, "lora": {"r": 64}})))
    assert "gradient_checkpointing true" in said["settings of all rows"] and "lora.r 64" in said["settings of all rows"]
    dated = re.fullmatch(r"on demand: .* valid between (\d{4}-\d\d-\d\d) and (\d{4}-\d\d-\d\d); .*", said["prices"])
    assert dated is not None and dated[1] <= dated[2]
    unknown = dict(notes(axes(gpus=["rtx-2080-ti"], base={})))["prices"]
    assert unknown.startswith("none is known: ") and "1 are unknown" in unknown
