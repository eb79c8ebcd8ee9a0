"""What each command answers: exit code, text and JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from planner.answer import CATEGORIES
from planner.catalog import list_gpus, list_models
from planner.estimate import estimate
from planner.schema import parse_request

Run = Callable[..., Result]

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}


@pytest.mark.parametrize(
    ("command", "exit_code", "fragments"),
    [
        (
            "fit llama-3.3-70b --method qlora --gpu rtx-4090",
            1,
            [
                "meta-llama/Llama-3.3-70B-Instruct, qlora, 1 x 1,024 tokens, on one GeForce RTX 4090: does not fit.",
                "the card offers 23.6 GiB",
                "The peak falls in the ",
                "What to change",
                "Gradient checkpointing",
            ],
        ),
        (
            "fit llama-3.2-1b --method lora --gpu rtx-4090 --gradient-checkpointing",
            0,
            [": fits.", "Largest batch that fits at 1,024 tokens:", "Longest sequence that fits at batch 1:"],
        ),
        (
            "fit llama-3.1-8b --gpu 4090",
            0,
            ["Side by side", "full", "lora", "In detail, the one with the least memory"],
        ),
        ("fit llama-3.3-70b --gpu t4", 1, ["None fits; in detail, the one with the least memory (qlora)"]),
        ("plan gpt2 --method lora", 0, ["Ledger of the peak", "One step, phase by phase", "max_memory_allocated"]),
        ("plan llama-3.1-8b --method full --gpu rtx-4090", 1, ["does not fit"]),
        ("plan gpt2 --method full --device cpu", 0, ["on the CPU"]),
        ("compare gpt2", 0, ["full", "lora", "qlora", "needs GiB"]),
        ("compare gpt2 --methods lora,qlora --gpu t4 --gpu a100,h100", 0, ["t4", "a100-80gb-sxm", "h100-sxm"]),
        ("compare llama-3.3-70b --methods full --gpu t4", 1, ["does not fit"]),
        ("models", 0, ["meta-llama/Llama-3.3-70B-Instruct", "openai-community/gpt2"]),
        ("models 70b", 0, ["meta-llama/Llama-3.1-70B", "meta-llama/Llama-2-70b-hf"]),
        ("models gpt2", 0, ["124,439,808 parameters", "transformer.h.*.attn.c_attn", "2,304 x 768"]),
        ("gpus", 0, ["rtx-4090", "h100-sxm"]),
        ("gpus 4090", 0, ["GeForce RTX 4090", "23.6 GiB", "Source: https://"]),
        ("doctor", 0, ["TuneBudget", "pydantic", "Data", "prices"]),
        ("--version", 0, ["tunebudget, version"]),
        ("", 0, ["Usage: tunebudget", *"fit plan compare models gpus schema doctor app".split()]),
    ],
)
def test_text(run: Run, command: str, exit_code: int, fragments: list[str]) -> None:
    result = run(*command.split())
    assert result.stderr == ""
    assert result.exit_code == exit_code
    for fragment in fragments:
        assert fragment in result.stdout


def test_plan_json_is_the_answer(run: Run) -> None:
    result = run("plan", "llama-3.2-1b", "--method", "lora", "--gpu", "t4", "--id", "x", "--json")
    answer = json.loads(result.stdout)
    request = parse_request({"id": "x", "model": "llama-3.2-1b", "method": "lora", "gpu": "t4"})
    assert answer == estimate(request).model_dump(mode="json")
    assert sum(answer[f"{category}_bytes"] for category in CATEGORIES) == answer["peak_bytes"] + answer["runtime_bytes"]


def test_fit_json_is_the_answer_and_what_fits(run: Run) -> None:
    result = run("fit", "llama-3.1-8b", "--method", "qlora", "--gpu", "t4", "--json")
    answer = json.loads(result.stdout)
    plan = estimate(parse_request({"model": "llama-3.1-8b", "method": "qlora", "gpu": "t4"})).model_dump(mode="json")
    assert {name: answer[name] for name in plan} == plan
    assert set(answer) - set(plan) == {"largest_batch", "longest_sequence", "suggestions"}
    names = {"label", "changes", "saves_bytes", "device_bytes", "usable_bytes", "verdict", "price"}
    assert all(set(suggestion) == names for suggestion in answer["suggestions"])


def test_fit_json_without_a_method_names_them_all(run: Run) -> None:
    answer = json.loads(run("fit", "llama-3.1-8b", "--gpu", "rtx-4090", "--json").stdout)
    methods = {m["method"]: m for m in answer["methods"]}
    assert list(methods) == ["full", "lora", "qlora"]
    assert methods[answer["method"]]["device_bytes"] == answer["device_bytes"]
    assert answer["device_bytes"] == min(m["device_bytes"] for m in methods.values())


def test_compare_json_has_a_plan_for_each_pair(run: Run) -> None:
    answer = json.loads(run("compare", "gpt2", "--gpu", "t4,l4", "--methods", "full,lora", "--json").stdout)
    pairs = [(plan["gpu"], plan["method"]) for plan in answer["plans"]]
    assert pairs == [("t4", "full"), ("t4", "lora"), ("l4", "full"), ("l4", "lora")]


def test_lists_as_json(run: Run) -> None:
    assert len(json.loads(run("models", "--json").stdout)) == len(list_models())
    assert len(json.loads(run("gpus", "--json").stdout)) == len(list_gpus())
    assert [gpu["key"] for gpu in json.loads(run("gpus", "rtx-4090", "--json").stdout)] == ["rtx-4090"]
    one = json.loads(run("models", "gpt2", "--json").stdout)
    assert one["total_params"] == 124_439_808
    assert one["linears"]["transformer.h.*.attn.c_attn"] == [2304, 768]
    assert one["catalogue"]["license"] == "mit"


def test_flags_fill_the_request(run: Run) -> None:
    flags = (
        "--dtype float16 --mixed-precision fp16 --batch-size 3 --max-length 77 --gradient-accumulation-steps 5 "
        "--padding padded --gradient-checkpointing --use-reentrant --attn-implementation eager --optim sgd "
        "--loss chunked --lora-r 4 --lora-alpha 8 --lora-dropout 0.1 --target-modules q_proj,v_proj "
        "--target-modules o_proj --use-rslora --no-autocast-adapter-dtype --bnb-4bit-quant-type fp4 "
        "--no-bnb-4bit-use-double-quant --bnb-4bit-compute-dtype float32 --no-upcast-unquantized --gpu l4"
    )
    request = {
        "model": "llama-3.2-1b",
        "method": "qlora",
        "dtype": "float16",
        "mixed_precision": "fp16",
        "per_device_train_batch_size": 3,
        "max_length": 77,
        "gradient_accumulation_steps": 5,
        "padding": "padded",
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": True},
        "attn_implementation": "eager",
        "optim": "sgd",
        "loss": "chunked",
        "lora": {
            "r": 4,
            "lora_alpha": 8,
            "lora_dropout": 0.1,
            "target_modules": ["q_proj", "v_proj", "o_proj"],
            "use_rslora": True,
            "autocast_adapter_dtype": False,
        },
        "quantization": {
            "bnb_4bit_quant_type": "fp4",
            "bnb_4bit_use_double_quant": False,
            "bnb_4bit_compute_dtype": "float32",
            "upcast_unquantized": False,
        },
        "gpu": "l4",
    }
    result = run("plan", "llama-3.2-1b", "--method", "qlora", *flags.split(), "--json")
    assert json.loads(result.stdout) == estimate(parse_request(request)).model_dump(mode="json")


@pytest.mark.parametrize("targets", ["all-linear", r".*\.(q|v)_proj"])
def test_a_name_for_all_and_a_regular_expression_stay_text(run: Run, targets: str) -> None:
    result = run("plan", "llama-3.2-1b", "--method", "lora", "--target-modules", targets, "--json")
    request = parse_request({"model": "llama-3.2-1b", "method": "lora", "lora": {"target_modules": targets}})
    assert json.loads(result.stdout) == estimate(request).model_dump(mode="json")


def test_a_request_from_a_file_from_standard_input_and_with_flags(run: Run, tmp_path: Path) -> None:
    request = {"model": TINY, "method": "lora", "device": "cpu", "lora": {"r": 4}}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request))
    plan = estimate(parse_request(request)).model_dump(mode="json")
    assert json.loads(run("plan", "--request", str(path), "--json").stdout) == plan
    assert json.loads(run("plan", "--request", "-", "--json", stdin=json.dumps(request)).stdout) == plan
    changed = run("plan", "--request", str(path), "--lora-alpha", "5", "--max-length", "9", "--json")
    merged = request | {"max_length": 9, "lora": {"r": 4, "lora_alpha": 5}}
    assert json.loads(changed.stdout) == estimate(parse_request(merged)).model_dump(mode="json")


def test_a_model_from_a_config(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    for path in (tmp_path, tmp_path / "config.json"):
        assert "on one Tesla T4: fits." in run("fit", str(path), "--method", "lora", "--gpu", "t4").stdout
        assert "llama, 2 layers" in run("models", str(path)).stdout
