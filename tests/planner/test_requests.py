"""Every valid request is answered; every invalid one is refused with one line that names its field."""

from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planner.dataset import MAX_EPOCHS, MAX_TOKENS, DatasetSettings
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.pricing import PricingSettings
from planner.schema import (
    MAX_BATCH,
    MAX_GPUS,
    MAX_LENGTH,
    GradientCheckpointingKwargs,
    LoraSettings,
    Method,
    ParallelismSettings,
    PlanRequest,
    PromptSettings,
    QuantizationSettings,
    parse_request,
)
from tests.planner.memory.strategies import CATALOGUE, FAMILIES, Fields, bounded, requests

VALID: dict[str, Fields] = {
    "full": {"model": "llama-3.2-1b", "method": "full"},
    "lora": {"model": "llama-3.2-1b", "method": "lora"},
    "prompt_tuning": {"model": "llama-3.2-1b", "method": "prompt_tuning"},
    "qlora": {"model": "llama-3.2-1b", "method": "qlora"},
}
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.floats(1.1, 1.9), st.just([]), st.just({"x": 1}), st.just(b"\xff")
)
NOT_A_FLAG = st.one_of(st.none(), st.integers(2, 99), st.just("maybe"), st.just([]))
NOT_A_SECTION = st.one_of(st.integers(), st.just("x"), st.just([]), st.just({"no_such_setting": 1}))


def count_outside(low: int, high: int) -> st.SearchStrategy[Any]:
    """Not an integer from low to high."""
    return st.one_of(
        st.integers(max_value=low - 1), st.integers(min_value=high + 1), st.just("many"), st.just(float("nan")), SCALARS
    )


def number_outside(low: float, high: float) -> st.SearchStrategy[Any]:
    """Not a number from low to high."""
    above, below = st.floats(min_value=high, exclude_min=True), st.floats(max_value=low, exclude_max=True)
    return st.one_of(above, below, st.sampled_from((float("nan"), "many", [], {"x": 1}, b"\xff")))


def word_but(*allowed: str) -> st.SearchStrategy[Any]:
    """Not one of the allowed words."""
    return st.one_of(st.text(max_size=20).filter(lambda x: x not in allowed), st.integers(), SCALARS)


MODELS = st.one_of(
    st.integers(),
    st.none(),
    st.text(max_size=30).map(lambda x: f"no-such-model-{x}"),
    st.sampled_from(
        (
            {},
            {"model_type": "no-such-type"},
            {"model_type": ["llama"]},
            {"model_type": "llama", "hidden_size": -1},
            {"model_type": "llama", "num_attention_heads": 7, "num_key_value_heads": 3},
            {"model_type": "gpt2", "n_embd": "wide"},
            "/no/such/config.json",
        )
    ),
)
OPTIONAL_TEXT = st.one_of(st.integers(), st.just([]), st.just({}))

#: Field -> (method of the request around it, values that break its rule).
INVALID: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "id": ("full", OPTIONAL_TEXT),
    "model": ("full", MODELS),
    "method": ("full", word_but(*get_args(Method))),
    "dtype": ("full", word_but("bfloat16", "float16", "float32")),
    "mixed_precision": ("full", word_but("no", "bf16", "fp16")),
    "per_device_train_batch_size": ("full", count_outside(1, MAX_BATCH)),
    "max_length": ("full", count_outside(1, MAX_LENGTH)),
    "gradient_accumulation_steps": ("full", count_outside(1, MAX_BATCH)),
    "padding": ("full", word_but("none", "padded", "packed")),
    "gradient_checkpointing": ("full", NOT_A_FLAG),
    "gradient_checkpointing_kwargs": ("full", NOT_A_SECTION),
    "attn_implementation": ("full", word_but("sdpa", "flash_attention_2", "eager")),
    "optim": ("full", word_but()),
    "loss": ("full", word_but("full", "chunked", "fused")),
    "lora": ("lora", NOT_A_SECTION),
    "prompt": ("prompt_tuning", NOT_A_SECTION),
    "quantization": ("qlora", NOT_A_SECTION),
    "stack": ("full", word_but("transformers")),
    "device": ("full", word_but("cuda", "cpu")),
    "expandable_segments": ("full", NOT_A_FLAG),
    "gpu": ("full", st.one_of(OPTIONAL_TEXT, st.text(max_size=20).map(lambda x: f"no-such-card-{x}"))),
    "num_gpus": ("full", count_outside(1, MAX_GPUS)),
    "num_nodes": ("full", count_outside(1, MAX_GPUS)),
    "parallelism": ("full", NOT_A_SECTION),
    "dataset": ("full", NOT_A_SECTION),
    "pricing": ("full", NOT_A_SECTION),
}
SECTIONS: dict[str, tuple[str, type]] = {
    "gradient_checkpointing_kwargs": ("full", GradientCheckpointingKwargs),
    "lora": ("lora", LoraSettings),
    "prompt": ("prompt_tuning", PromptSettings),
    "quantization": ("qlora", QuantizationSettings),
    "parallelism": ("full", ParallelismSettings),
    "dataset": ("full", DatasetSettings),
    "pricing": ("full", PricingSettings),
}
PARALLEL_KINDS = ("tensor", "pipeline", "context", "expert")
INVALID_NESTED: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "gradient_checkpointing_kwargs": {"use_reentrant": NOT_A_FLAG},
    "lora": {
        "r": count_outside(1, 2**16),
        "lora_alpha": st.one_of(st.floats(max_value=0), st.just(float("nan")), st.none(), st.just("large")),
        "lora_dropout": st.one_of(st.floats(min_value=1), st.floats(max_value=-1e-9), st.just(float("nan")), st.none()),
        "target_modules": st.sampled_from(("", [], None, 5, [5], ["no_such_module"], "no_such_module", "(", {})),
        "modules_to_save": st.sampled_from(("lm_head", 5, [5], None, ["no_such_module"])),
        "use_dora": NOT_A_FLAG,
        "use_rslora": NOT_A_FLAG,
        "autocast_adapter_dtype": NOT_A_FLAG,
    },
    "prompt": {
        "num_virtual_tokens": count_outside(1, 2**16),
        "encoder_hidden_size": st.sampled_from((0, -1, "wide", [])),
    },
    "quantization": {
        "load_in_4bit": st.one_of(NOT_A_FLAG, st.just(False)),
        "load_in_8bit": NOT_A_FLAG,
        "quant_method": word_but("bitsandbytes", "gptq", "awq", "hqq"),
        "bits": st.sampled_from((0, 1, 5, 16, "four", [])),
        "group_size": st.sampled_from((0, -1, "all", [])),
        "bnb_4bit_quant_type": word_but("nf4", "fp4"),
        "bnb_4bit_use_double_quant": NOT_A_FLAG,
        "bnb_4bit_compute_dtype": st.sampled_from(("int8", "bf16", 16, [])),
        "upcast_unquantized": NOT_A_FLAG,
    },
    "parallelism": {
        "strategy": word_but("none", "ddp", "zero1", "zero2", "zero3", "fsdp", "hsdp"),
        **dict.fromkeys((f"{kind}_parallel_size" for kind in PARALLEL_KINDS), count_outside(1, MAX_GPUS)),
        **dict.fromkeys(("offload_optimizer", "offload_params", "activation_offloading", "overlap_comm"), NOT_A_FLAG),
    },
    "dataset": {
        "num_tokens": count_outside(1, MAX_TOKENS),
        "num_examples": count_outside(1, MAX_TOKENS),
        "mean_length": number_outside(1, MAX_TOKENS),
        "num_train_epochs": number_outside(1e-6, MAX_EPOCHS),
    },
    "pricing": {
        "kind": word_but("on_demand", "spot", "reserved", "owned"),
        "provider": st.sampled_from(("", "x" * 101, 5, [], {})),
        "usd_per_gpu_hour": number_outside(0, 10**12),
        "restart_allowance": number_outside(0, 0.999),
        "purchase_price_usd": number_outside(0, 10**12),
        "host_price_usd": number_outside(0, 10**12),
        "useful_life_years": number_outside(0.01, 100),
        "power_w": number_outside(0, 10**6),
        "host_power_w": number_outside(0, 10**6),
        "power_usage_effectiveness": number_outside(1, 10),
        "electricity_usd_per_kwh": number_outside(0, 10**12),
        "utilization": number_outside(0.001, 1),
    },
}


def refusal(request: Any) -> PlannerError:
    """The error the request is refused with; anything else than a PlannerError fails the test."""
    with pytest.raises(PlannerError) as found:
        estimate(parse_request(request))
    return found.value


def is_one_line_about(error: PlannerError, field: str) -> bool:
    section = field.split(".")[0]
    named = error.field is not None and (error.field == field or error.field.startswith((f"{field}.", section)))
    return named and "\n" not in error.message and section in (error.message + (error.field or ""))


# -- invalid ---------------------------------------------------------------------------------------------------------


def test_every_field_has_invalid_values_here() -> None:
    assert set(INVALID) == set(PlanRequest.model_fields)
    for name, (_, section) in SECTIONS.items():
        assert set(INVALID_NESTED[name]) == set(section.model_fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", INVALID)
def test_an_invalid_value_is_refused_by_the_name_of_its_field(field: str) -> None:
    method, values = INVALID[field]

    @bounded(40)
    @given(values)
    def check(value: Any) -> None:
        error = refusal({**VALID[method], field: value})
        assert is_one_line_about(error, field), (value, error.field, error.message)

    check()


NESTED = [(section, field) for section, fields in INVALID_NESTED.items() for field in fields]


@pytest.mark.parametrize(("section", "field"), NESTED)
def test_an_invalid_value_of_a_section_is_refused_by_its_name(section: str, field: str) -> None:
    method, _ = SECTIONS[section]

    @bounded(30)
    @given(INVALID_NESTED[section][field])
    def check(value: Any) -> None:
        error = refusal({**VALID[method], section: {field: value}})
        assert is_one_line_about(error, f"{section}.{field}"), (value, error.field, error.message)
        assert field in error.message

    check()


@bounded(60)
@given(st.text(min_size=1, max_size=30), st.none() | st.integers() | st.text())
def test_an_unknown_field_is_refused_by_its_name(name: str, value: Any) -> None:
    assume(name not in PlanRequest.model_fields)
    error = refusal({**VALID["full"], name: value})
    assert error.field == name


@pytest.mark.parametrize("request_", [None, [], "llama", 5, {}, {"model": "llama-3.2-1b"}, {"method": "full"}])
def test_what_is_no_request_is_refused(request_: Any) -> None:
    assert "\n" not in refusal(request_).message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": "full", "lora": {}}, "lora"),
        ({"method": "full", "quantization": {}}, "quantization"),
        ({"method": "lora", "quantization": {}}, "quantization"),
        ({"num_gpus": 2}, "num_gpus"),
        ({"parallelism": {"strategy": "ddp"}}, "parallelism.strategy"),
        ({"dataset": {}}, "dataset"),
        ({"dataset": {"num_examples": 5}}, "dataset"),
        ({"dataset": {"num_tokens": 5, "num_examples": 5, "mean_length": 5}}, "dataset"),
        ({"pricing": {"restart_allowance": 0.1}}, "pricing"),
        ({"model": "openai-community/gpt2", "max_length": 1025}, "max_length"),
        ({"model": "facebook/opt-125m", "max_length": 2049}, "max_length"),
        ({"method": "lora", "lora": {"target_modules": r"model\.layers\.0\..*"}}, "lora.target_modules"),
        ({"method": "lora", "lora": {"target_modules": ["layers.0.self_attn.q_proj"]}}, "lora.target_modules"),
        ({"method": "lora", "lora": {"target_modules": ["q_proj", "mlp"]}}, "lora.target_modules"),
        ({"model": "mamba-2.8b-hf", "method": "lora"}, "lora.target_modules"),
        ({"model": "mixtral-8x7b-v0.1", "method": "lora", "lora": {"lora_dropout": 0.1}}, "lora.lora_dropout"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: Fields, field: str) -> None:
    error = refusal({**VALID["full"], **changes})
    assert error.field == field
    assert error.message.startswith(field) and "\n" not in error.message


# -- valid -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_model_of_the_catalogue_is_answered(model: str) -> None:
    for method in VALID:
        assert estimate(parse_request({"model": model, "method": method, "max_length": 64})).peak_bytes > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_every_request(family: str) -> None:
    @bounded(25)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = {"model_type": family, **FAMILIES[family](data.draw)}
        answer = estimate(parse_request(data.draw(requests(models=st.just(config)))))
        assert answer.peak_bytes > 0

    check()


@bounded(60)
@given(requests(models=st.sampled_from(CATALOGUE)))
def test_a_request_of_the_catalogue_is_answered_or_too_long(request: Fields) -> None:
    try:
        assert estimate(parse_request(request)).peak_bytes > 0
    except PlannerError as error:
        assert error.field == "max_length"
