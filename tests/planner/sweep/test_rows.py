"""A row of a table says what one plan of the same question says."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.schema import parse_request
from planner.sweep import planned
from planner.sweep import rows as rows_module
from planner.sweep.columns import COLUMNS
from planner.units import GIB, MIB
from tests.planner.sweep.tables import MEMORY, Row, axes, rows


def test_the_columns_are_these() -> None:
    assert " ".join(column.name for column in COLUMNS) == (
        "model method gpu num_gpus strategy max_length per_device_train_batch_size verdict gpus_needed peak_gib "
        "device_gib device_low_gib device_high_gib needs_gib needs_low_gib needs_high_gib usable_gib headroom_gib "
        "total_params trainable_params adapter_mib "
        "step_seconds tokens_per_second mfu train_hours usd_per_hour cost_usd usd_per_million_tokens price_provider "
        "price_instance price_region price_kind price_date price_source price_note refused"
    )


def request_of(row: Row, base: Row) -> Row:
    fields = {"model": row["model"], "method": row["method"], "gpu": row["gpu"], "num_gpus": int(row["num_gpus"])}
    sizes = {name: int(row[name]) for name in ("max_length", "per_device_train_batch_size")}
    return base | fields | sizes | {"parallelism": {"strategy": row["strategy"]}}


@pytest.mark.parametrize(
    "base",
    [
        {"dataset": {"num_tokens": 10**7}, "pricing": {"kind": "spot"}},
        {"gradient_checkpointing": True, "optim": "paged_adamw_8bit", "stack": "trl", "lora": {"r": 64}},
    ],
)
def test_a_row_is_the_plan_of_its_question(base: Row) -> None:
    found = rows(axes(base=base, counts=[1, 4], lengths=[512, 1024], batches=[1, 3]))
    assert len(found) == 2 * 3 * 2 * 2 * 2 * 2
    for row in found:
        own = base if row["method"] != "full" else {name: v for name, v in base.items() if name != "lora"}
        plan = estimate(parse_request(request_of(row, own)))
        for name, attribute in MEMORY.items():
            assert row[name] == pytest.approx(getattr(plan, attribute) / GIB, rel=1e-5), (name, row)
        assert row["adapter_mib"] == pytest.approx(plan.adapter_bytes / MIB, rel=1e-5)
        assert (row["verdict"], row["total_params"], row["trainable_params"]) == (
            plan.verdict,
            plan.total_params,
            plan.trainable_params,
        )
        assert row["refused"] is None
        _same_time_and_money(row, plan)


RUN = ("step_seconds", "tokens_per_second", "mfu", "train_hours", "cost_usd", "usd_per_million_tokens")
PRICE = {"provider": "provider", "instance": "instance", "region": "region", "kind": "pricing", "source": "source"}


def _same_time_and_money(row: Row, plan: Plan) -> None:
    """What does not fit has neither."""
    for name in RUN:
        expected = None if plan.verdict == "does not fit" else getattr(plan, name)
        assert row[name] == (expected if expected is None else pytest.approx(expected, rel=1e-5)), (name, row)
    assert row["usd_per_hour"] == (None if plan.price is None else pytest.approx(plan.price.usd_per_hour, rel=1e-5))
    for name, attribute in PRICE.items():
        assert row[f"price_{name}"] == (getattr(plan.price, attribute, None) or None)
    assert row["price_date"] == (str(plan.price.as_of) if plan.price is not None and plan.price.as_of else None)
    assert plan.price is not None or row["price_note"]


def test_rows_come_in_the_order_of_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a block is smaller than what one model and method have."""
    table = axes(counts=[1, 2], lengths=[256, 512], batches=[1, 2], methods=["lora", "full"])
    names = ("model", "method", "gpu", "num_gpus", "max_length", "per_device_train_batch_size")
    whole = [tuple(row[name] for name in names) for row in rows(table)]
    models = ("openai-community/gpt2", "meta-llama/Llama-3.1-8B")
    assert whole == [
        (model, method, gpu, count, length, batch)
        for model in models
        for method in ("lora", "full")
        for gpu in ("t4", "h100-sxm")
        for count in (1, 2)
        for length in (256, 512)
        for batch in (1, 2)
    ]
    everything = rows(table)
    monkeypatch.setattr(planned, "_CELLS", 2)
    assert rows(table) == everything
    monkeypatch.setattr(rows_module, "BLOCK_ROWS", 4)
    assert sorted(tuple(row[name] for name in names) for row in rows(table)) == sorted(whole)


def test_the_cards_needed_are_the_fewest_that_fit() -> None:
    table = axes(models=["llama-3.1-8b"], gpus=["rtx-4090", "h100"], lengths=[512, 4096], base=SAVING)
    for row in rows(table):
        tried = [
            next(
                iter(rows(axes(base=SAVING, models=[row["model"]], methods=[row["method"]], gpus=[row["gpu"]], **one)))
            )
            for count in (1, 2, 3, 4, 5, 6, 7, 8, 16)
            for one in [{"counts": [count], "lengths": [int(row["max_length"])]}]
        ]
        fitting = [int(one["num_gpus"]) for one in tried if one["verdict"] == "fits"]
        assert row["gpus_needed"] == min(fitting, default=row["gpus_needed"])
        if not fitting:
            assert row["gpus_needed"] is None or row["gpus_needed"] > 16


SAVING = {"gradient_checkpointing": True}


def test_what_cannot_be_is_a_row_with_its_reason() -> None:
    found = rows(axes(models=["gpt2"], lengths=[1024, 2048], methods=["lora", "prefix_tuning"], base=SAVING))
    refused = {(row["method"], row["max_length"]): row["refused"] for row in found}
    assert refused["lora", 1024] is None
    assert "learned positions for 1024 tokens" in refused["lora", 2048]
    assert "PEFT has none with prefix_tuning" in refused["prefix_tuning", 1024]
    for row in found:
        if row["refused"]:
            assert row["verdict"] is row["device_gib"] is row["gpus_needed"] is None
            assert row["usable_gib"] > 0


def test_strategies_are_settled_by_the_number_of_cards() -> None:
    given = {"parallelism": {"strategy": "zero3"}}
    assert {(row["num_gpus"], row["strategy"]) for row in rows(axes(counts=[1, 2]))} == {(1, "none"), (2, "fsdp")}
    assert {row["strategy"] for row in rows(axes(counts=[1, 2], base=given))} == {"zero3"}
    ddp = {"parallelism": {"strategy": "ddp"}}
    assert {row["strategy"] for row in rows(axes(counts=[1, 2], base=ddp, gpus=["t4"]))} == {"none", "ddp"}


@pytest.mark.parametrize("place", ["planner.sweep.rows.plan_cells", "planner.sweep.figures.times"])
def test_a_fault_of_the_program_is_a_row_too(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("window")

    monkeypatch.setattr(place, fails)
    for row in rows(axes(gpus=["t4"], counts=[1, 2])):
        assert row["refused"] == "unexpected KeyError: 'window': a fault of this program, please report it"
        assert row["cost_usd"] is None and row["step_seconds"] is None


def test_layers_without_attention_are_timed() -> None:
    (row,) = rows(axes(models=["nvidia/Nemotron-H-56B-Base-8K"], methods=["full"], gpus=["h200"], counts=[64]))
    assert row["refused"] is None and row["verdict"] is not None
