"""The catalogue's look-ups: names as people type them, refusals in one line, paths, prices, and what is imported."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from planner import catalog
from planner.catalog import (
    cheapest_price,
    find_gpu,
    find_model,
    list_gpus,
    list_models,
    list_prices,
    load_config,
    resolve_config,
)
from planner.catalog.config_file import MAX_CONFIG_BYTES
from planner.catalog.tables import DATA_DIR, Table, read_table
from planner.errors import CatalogError, PlannerError, UnknownGpuError, UnknownModelError
from planner.units import GIB, MIB

# Models by name


@pytest.mark.parametrize(
    ("typed", "model_id"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("META-LLAMA/llama-3.3-70b-instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Llama-3.3-70B", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama 3.3 70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama3.1:8b", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B"),
        ("unsloth/Qwen3-14B-Base-unsloth-bnb-4bit", "Qwen/Qwen3-14B"),
        ("NousResearch/Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-hf"),
        ("qwen2.5-7b", "Qwen/Qwen2.5-7B"),
        ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-72B"),
        ("gpt2", "openai-community/gpt2"),
        ("phi-2", "microsoft/phi-2"),
        ("tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
        ("gemma-2b", "google/gemma-2b"),
        ("gemma-2-2b-it", "google/gemma-2-2b"),
        ("TheBloke/Mistral-7B-v0.1-GPTQ", "mistralai/Mistral-7B-v0.1"),
        ("Qwen/Qwen-7B-Chat-Int4", "Qwen/Qwen-7B"),
    ],
)
def test_find_model_by_the_names_people_type(typed: str, model_id: str) -> None:
    assert find_model(typed).id == model_id


def test_every_model_is_found_by_its_id_and_aliases() -> None:
    for row in list_models():
        for name in (row.id, row.id.upper(), *row.aliases):
            assert find_model(name).id == row.id, name


def test_a_row_carries_count_licence_and_provenance() -> None:
    row = find_model("llama-3.1-8b")
    assert row.params == 8_030_261_248
    assert row.license == "llama3.1"
    assert row.source
    assert row.url == "https://huggingface.co/meta-llama/Llama-3.1-8B"
    assert load_config(row)["hidden_size"] == 4096


def test_a_changed_config_does_not_change_the_next() -> None:
    row = find_model("gpt2")
    load_config(row)["n_embd"] = 1
    assert load_config(row)["n_embd"] == 768


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("mistral-7b", "mistralai/Mistral-7B-v0.3"),
        ("lama-3.3-70b-instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Qwen/Qwen2.5-8B", "Qwen/Qwen2.5-7B"),
    ],
)
def test_an_unknown_or_ambiguous_name_is_refused_with_the_closest(typed: str, suggested: str) -> None:
    with pytest.raises(UnknownModelError) as refusal:
        find_model(typed)
    message = refusal.value.message
    assert refusal.value.field == "model"
    assert repr(typed) in message
    assert "neither in the catalogue nor a file" in message
    assert suggested in message
    assert "config.json" in message


@pytest.mark.parametrize("typed", ["", " ", "\0", "x" * 10_000, "zzzzqqq", "no\nsuch\nmodel", "unsloth/", "/", "🦙"])
def test_whatever_is_typed_the_refusal_is_one_short_line(typed: str) -> None:
    with pytest.raises(UnknownModelError) as refusal:
        resolve_config(typed)
    assert "\n" not in refusal.value.message
    assert len(refusal.value.message) < 500


# Models as paths and configs

CONFIG = {"model_type": "llama", "hidden_size": 64}


def test_a_config_file_and_its_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for path in (tmp_path, tmp_path / "config.json"):
        assert resolve_config(str(path)) == (str(path), CONFIG, None)


def test_a_relative_path_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("\ufeff" + json.dumps(CONFIG), encoding="utf-8")
    for typed in ("mine", "./mine", "mine/config.json"):
        assert resolve_config(typed) == (typed, CONFIG, None)


def test_the_catalogue_comes_before_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    assert resolve_config("gpt2")[0] == "openai-community/gpt2"
    with pytest.raises(UnknownModelError, match=r"the folder has no config\.json"):
        resolve_config("./gpt2")


def test_a_name_gives_its_row_and_config() -> None:
    name, config, row = resolve_config("llama-3.1-8b")
    assert row is not None
    assert (name, row.id) == ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B")
    assert config == load_config(row)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"model_type": "llama", "_name_or_path": "me/mine"}, "me/mine"),
        ({"_name_or_path": ""}, "config"),
        ({"model_type": 3}, "config"),
    ],
)
def test_a_config_stands_for_itself(config: dict[str, object], name: str) -> None:
    assert resolve_config(config) == (name, config, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"model_type": ', "not valid JSON (line 1, column 16"),
        (b"", "not valid JSON"),
        (b"[1, 2]", "its JSON is not an object"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long a number"),
        (b" " * (MAX_CONFIG_BYTES + 1), "larger than 1 MiB"),
    ],
    ids=["cut", "empty", "list", "utf16", "deep", "long number", "large"],
)
def test_a_broken_config_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UnknownModelError) as refusal:
        resolve_config(str(path))
    assert reason in refusal.value.message
    assert "\n" not in refusal.value.message
    assert refusal.value.field == "model"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("./nowhere", "no such file or folder"),
        ("nowhere.json", "no such file or folder"),
        ("~nobody-of-this-name/model", "no such file or folder"),
        ("/dev/null", "not a file"),
    ],
)
def test_a_path_without_a_config_is_refused(typed: str, reason: str) -> None:
    with pytest.raises(UnknownModelError, match=reason):
        resolve_config(typed)


# GPUs


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("h100", "h100-sxm"),
        ("H100 80GB SXM", "h100-sxm"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("A100", "a100-80gb-sxm"),
        ("A100-80GB", "a100-80gb-sxm"),
        ("a100_80gb", "a100-80gb-sxm"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb-sxm"),
        ("NVIDIA A100-PCIE-40GB", "a100-40gb-pcie"),
        ("A100 40GB PCIe", "a100-40gb-pcie"),
        ("4090", "rtx-4090"),
        ("RTX4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("RTX A6000 48GB", "rtx-a6000"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100-16gb"),
        ("NVIDIA A10G", "a10g"),
        ("L4 24GB", "l4"),
        ("AMD Instinct MI300X", "mi300x"),
        ("M3 Max 128GB", "apple-m3-max-128gb"),
        ("apple-m1-ultra", "apple-m1-ultra"),
    ],
)
def test_find_gpu_by_the_names_people_clouds_and_drivers_use(typed: str, key: str) -> None:
    assert find_gpu(typed).key == key


def test_every_gpu_is_found_by_its_key_name_and_aliases() -> None:
    for gpu in list_gpus():
        for name in (gpu.key, gpu.name, *gpu.aliases):
            assert find_gpu(name).key == gpu.key, name


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("RTX 9090", "rtx-4090"),
        ("M1 Max", "apple-m1-max-32gb, apple-m1-max-64gb"),
        ("RTX 4060 Ti", "rtx-4060-ti-16gb"),
        ("quantum", "known: p100-16gb"),
        ("", "known: p100-16gb"),
        ("NVIDIA", "known: p100-16gb"),
    ],
)
def test_an_unknown_card_is_refused_with_the_closest(typed: str, suggested: str) -> None:
    with pytest.raises(UnknownGpuError) as refusal:
        find_gpu(typed)
    assert refusal.value.field == "gpu"
    assert repr(typed) in refusal.value.message
    assert suggested in refusal.value.message
    assert "\n" not in refusal.value.message


def test_a_card_in_bytes_and_flops() -> None:
    gpu = find_gpu("a100-80gb-sxm")
    assert gpu.memory_total_bytes == 81920 * MIB
    assert 79 * GIB < gpu.usable_bytes < 80 * GIB
    assert gpu.bf16_dense_flops == 312e12
    assert gpu.mem_bandwidth_bytes_per_second == 2039e9
    assert gpu.cuda_context_bytes is None


def test_torch_reaches_half_of_some_printed_rates() -> None:
    gpu = find_gpu("l4")
    assert (gpu.bf16_dense_flops, gpu.bf16_gemm_flops) == (121e12, 60.5e12)


def test_a_card_without_bf16_has_no_bf16_rate() -> None:
    gpu = find_gpu("t4")
    assert gpu.bf16_dense_flops is None
    assert gpu.bf16_gemm_flops is None
    assert gpu.fp16_dense_flops == 65e12


# Prices


def test_prices_are_filtered_by_every_argument() -> None:
    rows = list_prices(gpu_key="h100-sxm", num_gpus=8, pricing="on_demand", provider="aws")
    assert [(row.instance_type, row.price_usd_per_hour_instance) for row in rows] == [("p5.48xlarge", 55.04)]
    assert rows[0].as_of == date(2026, 7, 20)
    assert len(list_prices()) > len(list_prices(pricing="spot")) > 0


def test_the_cheapest_is_not_above_any_other_offer() -> None:
    for num_gpus in (1, 2, 4, 8):
        best = cheapest_price("a100-80gb-sxm", num_gpus)
        assert best is not None
        assert best.gpus_per_instance >= num_gpus
        for row in list_prices("a100-80gb-sxm", pricing="on_demand"):
            if row.gpus_per_instance >= num_gpus and not row.is_indicative:
                assert best.price_usd_per_hour_instance <= row.price_usd_per_hour_instance


def test_a_provider_that_sells_by_the_card_is_multiplied() -> None:
    one, eight = (cheapest_price("h100-sxm", num_gpus, provider="runpod") for num_gpus in (1, 8))
    assert one is not None
    assert eight is not None
    assert eight.price_usd_per_hour_instance == pytest.approx(8 * one.price_usd_per_hour_instance)
    assert eight.derived
    assert "8 x the price of one" in eight.note
    assert cheapest_price("h100-sxm", 9, provider="runpod") is None


def test_the_price_of_a_part_is_a_last_resort() -> None:
    best = cheapest_price("l4", 1)
    assert best is not None
    assert best.sold_as != "part"
    part = cheapest_price("l4", 1, provider="gcp")
    assert part is not None
    assert part.sold_as == "part"
    assert part.is_indicative


def test_no_offer_is_none() -> None:
    assert cheapest_price("apple-m1-ultra", 1) is None
    assert cheapest_price("h100-sxm", 64) is None


# Files and imports


def test_a_missing_or_broken_table_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogError, match=r"data/nothing\.csv cannot be read"):
        read_table("nothing.csv")
    with pytest.raises(CatalogError, match=r"data/gpus\.csv: row 'x', column name"):
        Table("gpus.csv", [["key"], ["x"]]).validated(0, catalog.GpuRow)


def test_unknown_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        catalog.nothing  # noqa: B018


def test_refusals_are_planner_errors() -> None:
    for error in (UnknownModelError, UnknownGpuError, CatalogError):
        assert issubclass(error, PlannerError)


def test_looking_a_model_up_imports_nothing_heavy() -> None:
    code = (
        "import sys, planner.catalog as c; c.load_config(c.find_model('gpt2')); c.find_gpu('t4');"
        "c.cheapest_price('t4', 1);"
        "print([m for m in ('numpy', 'pandas', 'torch', 'transformers', 'streamlit') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=DATA_DIR.parent, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
