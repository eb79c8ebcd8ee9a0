"""The surface is frozen: a new command, flag or name is a decision made here."""

import json

import click
import pytest

from planner.answer import Plan
from planner.cli.root import COMMANDS, tunebudget
from planner.schema import PlanRequest

REQUEST_FLAGS = frozenset(
    """--id --method --dtype --mixed-precision --per-device-train-batch-size --batch-size --max-length
    --gradient-accumulation-steps --padding --gradient-checkpointing --use-reentrant --attn-implementation --optim
    --loss --lora-r --lora-alpha --lora-dropout --target-modules --modules-to-save --use-dora --use-rslora
    --num-virtual-tokens --encoder-hidden-size
    --autocast-adapter-dtype --load-in-4bit --load-in-8bit --quant-method --bits
    --group-size --bnb-4bit-quant-type --bnb-4bit-use-double-quant
    --bnb-4bit-compute-dtype --upcast-unquantized --stack --device --gpu --num-gpus --num-nodes --strategy
    --tensor-parallel-size --pipeline-parallel-size --context-parallel-size --expert-parallel-size
    --offload-optimizer --offload-params --activation-offloading --overlap-comm
    --expandable-segments --num-tokens --num-examples --mean-length --num-train-epochs
    --pricing --provider --usd-per-gpu-hour --restart-allowance --purchase-price-usd
    --host-price-usd --useful-life-years --power-w
    --host-power-w --power-usage-effectiveness --electricity-usd-per-kwh --utilization""".split()
)
FLAGS = {
    "fit": REQUEST_FLAGS | {"--json"},
    "plan": REQUEST_FLAGS | {"--json", "--request", "--batch", "--trace", "--calibrated"},
    "trace": REQUEST_FLAGS | {"--json", "--request", "--full", "--compare", "--time-limit"},
    "profile": REQUEST_FLAGS
    | set(
        """--json --request --compare --steps --warmup --seed --num-layers --memory-limit --time-limit --force --keep
        --num-processes --find-batch --suite --list --show --export --import --delete""".split()
    ),
    "compare": (REQUEST_FLAGS - {"--method"}) | {"--json", "--methods"},
    "table": (
        REQUEST_FLAGS - set("--id --method --gpu --max-length --per-device-train-batch-size --batch-size".split())
        | {"--json", "--models", "--methods", "--gpus", "--lengths", "--batch-sizes", "--output", "-o"}
        | {"--cheapest", "--fastest", "--deadline-hours", "--budget-usd", "--allow-tight"}
    ),
    "search": (
        REQUEST_FLAGS - {"--id", "--method"}
        | {"--json", "--methods", "--trials", "--trial-share", "--sharing-efficiency"}
    ),
    "explain": REQUEST_FLAGS | {"--json", "--model", "--output", "-o"},
    "claims": {"--json"},
    "evidence": {"--json", "--by", "--speed", "--stack", "--method", "--model", "--metric", "--worst"},
    "calibrate": {"--json", "--published", "--throughput", "--write"},
    "drill": {"--json", "--seed", "--topic", "--count", "--mock"},
    "serve": set(
        """--json --gpu --tenants --lora-r --target-modules --adapters --autocast-adapter-dtype --max-num-seqs
        --max-model-len --max-num-batched-tokens --kv-cache-dtype --engine --num-tokens --dtype
        --load-in-4bit --load-in-8bit
        --quant-method --bits""".split()
    ),
    "models": {"--json"},
    "gpus": {"--json"},
    "prices": {"--json", "--gpu", "--num-gpus", "--pricing", "--provider", "--refresh", "--import"},
    "stacks": {"--json"},
    "schema": {"--json", "--answer"},
    "doctor": {"--json"},
    "app": {"--json", "--port", "--browser"},
}
ON_OFF = frozenset(
    """--gradient-checkpointing --use-reentrant --use-dora --use-rslora --autocast-adapter-dtype --load-in-4bit
    --load-in-8bit --bnb-4bit-use-double-quant --upcast-unquantized --browser --keep --offload-optimizer
    --offload-params --activation-offloading --overlap-comm --expandable-segments""".split()
)
ANSWER_NAMES = frozenset(
    """id schema_version tool_version model method total_params trainable_params weights_bytes gradients_bytes
    optimizer_bytes activations_bytes logits_bytes workspace_bytes runtime_bytes peak_bytes steady_bytes
    reserved_bytes device_bytes needed_bytes peak_phase low_bytes high_bytes verdict oom_probability headroom_bytes
    usable_bytes gpu host_bytes disk_bytes adapter_bytes certainty terms timeline
    flops_per_step step_seconds step_seconds_low step_seconds_high step_parts tokens_per_second mfu hfu
    train_hours train_hours_low train_hours_high energy_kwh cost_usd cost_usd_low cost_usd_high
    usd_per_million_tokens price notes""".split()
)
REQUEST_NAMES = frozenset(
    """id model method dtype mixed_precision per_device_train_batch_size max_length gradient_accumulation_steps
    padding gradient_checkpointing gradient_checkpointing_kwargs attn_implementation optim loss lora prompt quantization
    stack device gpu expandable_segments num_gpus num_nodes parallelism dataset pricing""".split()
)


def command(name: str) -> click.Command:
    found = tunebudget.get_command(click.Context(tunebudget), name)
    assert found is not None
    return found


def options(name: str) -> list[click.Option]:
    return [option for option in command(name).params if isinstance(option, click.Option)]


def test_the_commands_are_these() -> None:
    assert set(COMMANDS) == set(FLAGS)


@pytest.mark.parametrize("name", FLAGS)
def test_the_flags_are_these(name: str) -> None:
    assert {flag for option in options(name) for flag in option.opts} == FLAGS[name]
    off = {flag for option in options(name) for flag in option.secondary_opts}
    assert off == {f"--no-{flag[2:]}" for flag in FLAGS[name] & ON_OFF}


@pytest.mark.parametrize("name", ["fit", "plan", "compare"])
def test_no_flag_repeats_a_default_of_the_schema(name: str) -> None:
    given = command(name).make_context(name, ["gpt2"]).params
    assert {key for key, value in given.items() if value not in (None, ())} - {"by_trace", "calibrated"} == {
        "model",
        "as_json",
    }


@pytest.mark.parametrize("name", FLAGS)
def test_every_command_explains_itself(name: str) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(tunebudget, [name, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: tunebudget {name}")
    assert all(flag in result.stdout for flag in FLAGS[name])


def test_the_names_of_the_answer() -> None:
    assert set(Plan.model_fields) == ANSWER_NAMES


def test_the_names_of_the_request() -> None:
    assert set(PlanRequest.model_fields) == REQUEST_NAMES


def test_schema_prints_both_schemas() -> None:
    from click.testing import CliRunner

    for args, names in (["schema"], REQUEST_NAMES), (["schema", "--answer"], ANSWER_NAMES):
        result = CliRunner().invoke(tunebudget, args)
        schema = json.loads(result.stdout)
        assert result.exit_code == 0
        assert set(schema["properties"]) == names
        assert schema["additionalProperties"] is False
    assert schema["properties"]["peak_bytes"]["type"] == "integer"


def test_the_request_schema_states_the_defaults_of_the_contract() -> None:
    properties = PlanRequest.model_json_schema()["properties"]
    defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
    assert defaults == {
        "id": None,
        "dtype": "bfloat16",
        "mixed_precision": "no",
        "per_device_train_batch_size": 1,
        "max_length": 1024,
        "gradient_accumulation_steps": 1,
        "padding": "none",
        "gradient_checkpointing": False,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "attn_implementation": "sdpa",
        "optim": "adamw_torch_fused",
        "loss": "full",
        "lora": None,
        "prompt": None,
        "quantization": None,
        "stack": "transformers",
        "device": "cuda",
        "gpu": None,
        "expandable_segments": False,
        "num_gpus": 1,
        "num_nodes": 1,
        "parallelism": {
            "strategy": "none",
            "tensor_parallel_size": 1,
            "pipeline_parallel_size": 1,
            "context_parallel_size": 1,
            "expert_parallel_size": 1,
            "offload_optimizer": False,
            "offload_params": False,
            "activation_offloading": False,
            "overlap_comm": True,
        },
        "dataset": None,
        "pricing": None,
    }


def test_every_field_of_the_answer_is_described() -> None:
    assert [name for name, field in Plan.model_fields.items() if not field.description] == []
