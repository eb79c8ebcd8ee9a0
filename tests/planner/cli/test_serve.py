"""The serve command: its answer, its two ways, its refusals and exit codes."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.catalog import find_gpu
from planner.cli.root import tunebudget
from planner.serving.answer import PARTS
from planner.units import GIB


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, ["serve", *args])


def answer(*args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*args, "--json").stdout)
    return found


def test_the_parts_sum_to_the_total_and_the_terms_to_the_parts() -> None:
    found = answer("llama-3.1-8b", "--gpu", "rtx-4090", "--tenants", "20")
    assert sum(found[f"{part}_bytes"] for part in PARTS) == found["total_bytes"]
    for part in PARTS:
        assert sum(t["bytes"] for t in found["terms"] if t["part"] == part) == found[f"{part}_bytes"]
    assert found["headroom_bytes"] == found["usable_bytes"] - found["total_bytes"]


def test_the_cache_of_an_8b_by_hand() -> None:
    found = answer("llama-3.1-8b", "--max-num-seqs", "16", "--max-model-len", "8192")
    assert found["cache_bytes"] == 16 * 8192 * 32 * 2 * 8 * 128 * 2 == 16 * GIB
    assert found["verdict"] is None


def test_the_most_that_fits_is_the_most() -> None:
    base = ("llama-3.1-8b", "--gpu", "rtx-4090")
    found = answer(*base, "--tenants", "3")
    most = found["largest_num_seqs"]
    assert answer(*base, "--tenants", "3", "--max-num-seqs", str(most))["verdict"] == "fits"
    assert answer(*base, "--tenants", "3", "--max-num-seqs", str(most + 1))["verdict"] != "fits"
    most = found["largest_num_adapters"]
    assert answer(*base, "--tenants", str(most))["verdict"] == "fits"
    assert answer(*base, "--tenants", str(most + 1))["verdict"] != "fits"
    longest = found["longest_model_len"]
    assert answer(*base, "--tenants", "3", "--max-model-len", str(longest))["verdict"] == "fits"
    assert answer(*base, "--tenants", "3", "--max-model-len", str(longest + 1))["verdict"] != "fits"


def test_tenants_two_ways() -> None:
    found = answer("llama-3.1-8b", "--gpu", "h100", "--tenants", "50", "--lora-r", "8")
    adapters, whole = found["ways"]
    params, one = 8_030_261_248, 8 * 32 * (2 * 8192 + 2 * 5120 + 3 * 18432)
    assert adapters["trained_params"] == one and whole["trained_params"] == params
    assert adapters["storage_bytes"] == 2 * params + 50 * 4 * one
    assert whole["storage_bytes"] == 50 * 2 * params
    assert whole["serving_bytes"] - adapters["serving_bytes"] == pytest.approx(49 * 2 * params - 50 * 4 * one, rel=1e-3)
    assert adapters["cards"] == 1
    assert whole["tenants_per_card"] == 5 and whole["cards"] == 10
    assert find_gpu("h100").usable_bytes // (2 * params) == 5


def test_training_costs_a_tenant_times_the_tenants() -> None:
    tokens = ("--num-tokens", "10000000")
    one = answer("llama-3.1-8b", "--gpu", "h200", "--tenants", "1", *tokens)["ways"]
    many = answer("llama-3.1-8b", "--gpu", "h200", "--tenants", "20", *tokens)["ways"]
    for alone, all_of_them in zip(one, many, strict=True):
        assert all_of_them["train_hours"] == pytest.approx(20 * alone["train_hours"])
        assert all_of_them["train_cost_usd"] == pytest.approx(20 * alone["train_cost_usd"])
    adapters, whole = answer("llama-3.1-8b", "--gpu", "rtx-4090", "--tenants", "2", *tokens)["ways"]
    assert adapters["train_cost_usd"] > 0
    assert whole["train_hours"] is None and whole["train_cost_usd"] is None
    assert "does not fit" in run("llama-3.1-8b", "--gpu", "rtx-4090", "--tenants", "2", *tokens).stdout


def test_groups_of_adapters_are_those_that_are_written() -> None:
    alike = answer("llama-3.1-8b", "--tenants", "4", "--lora-r", "8", "--target-modules", "q_proj,v_proj")
    groups = answer("llama-3.1-8b", "--adapters", "3x8:q_proj,v_proj", "--adapters", "1x8:q_proj,v_proj")
    assert groups["num_adapters"] == 4
    assert groups["adapters_bytes"] == alike["adapters_bytes"] == 4 * 4 * 8 * 32 * (8192 + 5120)


def test_fewer_bits_take_less() -> None:
    sizes = [answer("llama-3.1-8b", *flags)["base_bytes"] for flags in ((), ("--load-in-8bit",), ("--load-in-4bit",))]
    assert sizes == sorted(sizes, reverse=True)
    caches = [
        answer("llama-3.1-8b", "--kv-cache-dtype", kind)["cache_bytes"] for kind in ("auto", "int8", "fp8", "int4")
    ]
    assert caches == sorted(caches, reverse=True)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("llama-3.1-8b", "--gpu", "h100"), 0),
        (("llama-3.1-8b",), 0),
        (("llama-3.3-70b", "--gpu", "rtx-4090", "--tenants", "0"), 1),
    ],
)
def test_exit_codes(args: tuple[str, ...], code: int) -> None:
    assert run(*args).exit_code == code


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("bert-base-uncased",), "does not generate text"),
        (("llama-3.1-8b", "--adapters", "3"), "is not COUNTxRANK"),
        (("llama-3.1-8b", "--adapters", "3x8", "--tenants", "2"), "--adapters with --tenants"),
        (("llama-3.1-8b", "--adapters", "3x8:nothing"), "matches no linear layer"),
        (("llama-3.1-8b", "--max-num-seqs", "0"), "max_num_seqs"),
        (("llama-3.1-8b", "--engine", "sglang"), "engine"),
        (("llama-3.1-8b", "--engine", "vllm", "--kv-cache-dtype", "int4"), "int4 of vLLM is not modelled"),
        (("gemma-2-9b", "--kv-cache-dtype", "int4"), "transformers quantizes no cache of a model with sliding"),
        (("llama-3.1-8b", "--load-in-4bit", "--load-in-8bit"), "name one of the two"),
        (("llama-3.1-8b", "--gpu", "voodoo"), "voodoo"),
    ],
)
def test_refusals_are_one_line(args: tuple[str, ...], said: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_answer_comes_first_and_the_ledger_is_whole() -> None:
    text = run("llama-3.1-8b", "--gpu", "rtx-4090", "--tenants", "5").stdout
    assert text.splitlines()[0].endswith("on one GeForce RTX 4090: fits.")
    assert "5 tenants, two ways" in text
    found = answer("llama-3.1-8b", "--gpu", "rtx-4090", "--tenants", "5")
    ledger = text.partition("Ledger\n")[2].partition("\nNote")[0].splitlines()[1:]
    shown = [int(line.split("  ")[k].replace(",", "")) for line in ledger for k in [_bytes_at(line)]]
    assert sum(shown) == found["total_bytes"]


def _bytes_at(line: str) -> int:
    cells = line.split("  ")
    return next(i for i, cell in enumerate(cells) if cell.strip().replace(",", "").isdigit())
