"""The request: one frozen pydantic model that the command line, the page, the URL and a request file all fill.

Fields, values and defaults are the contract other programs rely on; unknown fields are refused. Names are those of
transformers, TRL, PEFT and bitsandbytes.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from planner.dataset import DatasetSettings
from planner.errors import RequestError
from planner.method_settings import (
    AdapterKind,
    Dtype,
    GradientCheckpointingKwargs,
    LoraSettings,
    PromptSettings,
    QuantizationSettings,
)
from planner.optimizers import OPTIMIZERS
from planner.parallelism import ParallelismSettings, broken_rule, fewest_nodes
from planner.pricing import PricingSettings

__all__ = [
    "LORA_METHODS",
    "MAX_BATCH",
    "MAX_GPUS",
    "MAX_LENGTH",
    "METHODS",
    "ONE_DTYPE",
    "PROMPT_METHODS",
    "SCHEMA_VERSION",
    "STACKS",
    "DatasetSettings",
    "Dtype",
    "GradientCheckpointingKwargs",
    "LoraSettings",
    "Method",
    "ParallelismSettings",
    "PlanRequest",
    "PricingSettings",
    "PromptSettings",
    "QuantizationSettings",
    "as_request_error",
    "parse_request",
]

SCHEMA_VERSION = "1"

Method = Literal["full", "lora", "qlora", "dora", "adalora", "ia3", "prompt_tuning", "prefix_tuning", "p_tuning"]
#: Names of data/stacks.csv.
STACKS = (
    "transformers",
    "trl",
    "axolotl",
    "llamafactory",
    "unsloth",
    "torchtune",
    "litgpt",
    "ms-swift",
    "fms-acceleration",
)
#: Strategies that flatten parameters together, which needs one dtype for all.
ONE_DTYPE = ("fsdp", "hsdp", "zero3")
#: The methods that `fit` compares. The others are PEFT's, by their name there.
METHODS: tuple[Method, ...] = ("full", "lora", "qlora")
#: Methods with low-rank adapters, and those that train a prompt.
LORA_METHODS = ("lora", "qlora", "dora", "adalora")
PROMPT_METHODS = ("prompt_tuning", "prefix_tuning", "p_tuning")

#: Bounds that keep every product of a formula inside 64 bits, and typing errors out.
MAX_BATCH = 2**20
MAX_LENGTH = 2**27
MAX_GPUS = 2**17


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class PlanRequest(_Frozen):
    """One question: this model, trained in this way, on this hardware."""

    id: str | None = Field(None, description="echoed in the answer")
    model: str | dict[str, Any] = Field(description="catalogue id or alias, path to a config.json, or the config")
    method: Method
    dtype: Dtype = Field("bfloat16", description="dtype the weights are loaded in")
    mixed_precision: Literal["no", "bf16", "fp16"] = Field("no", description="autocast, as the Trainer's bf16 and fp16")
    per_device_train_batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1
    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH, description="tokens a sequence")] = 1024
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1
    padding: Literal["none", "padded", "packed"] = Field("none", description='"padded": a mask is passed')
    gradient_checkpointing: bool = False
    gradient_checkpointing_kwargs: GradientCheckpointingKwargs = GradientCheckpointingKwargs()
    attn_implementation: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    optim: str = Field("adamw_torch_fused", description="a name of transformers' OptimizerNames")
    loss: Literal["full", "chunked", "fused"] = "full"
    lora: LoraSettings | None = Field(None, description="null: the defaults, where the method has adapters")
    prompt: PromptSettings | None = Field(None, description="null: the defaults, where the method trains a prompt")
    quantization: QuantizationSettings | None = Field(None, description="null: the defaults, where the method is qlora")
    stack: str = Field(
        "transformers", description="a stack, or one version of it (trl@1.16): sets the fields that are left open"
    )
    device: Literal["cuda", "cpu"] = "cuda"
    gpu: str | None = Field(None, description="key or alias of the catalogue, or own:usable_gib=...")
    expandable_segments: bool = Field(
        False, description="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True: the allocator's segments grow in place"
    )
    num_gpus: Annotated[int, Field(ge=1, le=MAX_GPUS, description="cards of all nodes together")] = 1
    num_nodes: Annotated[
        int,
        Field(ge=1, le=MAX_GPUS, description="machines; left open: the fewest of equal size with at most 8 cards each"),
    ] = 1
    parallelism: ParallelismSettings = ParallelismSettings()
    dataset: DatasetSettings | None = Field(None, description="null: no hours and no cost of the whole run")
    pricing: PricingSettings | None = Field(None, description="null: the cheapest on demand")

    @field_validator("optim")
    @classmethod
    def _known_optimizer(cls, value: str) -> str:
        if value not in OPTIMIZERS:
            raise ValueError(f"{_short(value)} is not modelled; known: {', '.join(OPTIMIZERS)}")
        return value

    @field_validator("stack")
    @classmethod
    def _known_stack(cls, value: str) -> str:
        name, at, version = value.partition("@")
        if name not in STACKS:
            raise ValueError(f"{_short(name)} is no stack; known: {', '.join(STACKS)}")
        if at and not re.fullmatch(r"\d+(\.\d+)*", version):
            raise ValueError(f"the version after @ is numbers and dots, as in {name}@1.16")
        return value

    @model_validator(mode="after")
    def _machines_left_open(self) -> "PlanRequest":
        # one rule for all commands; not marked as set, so that it follows where num_gpus changes
        if "num_nodes" not in self.model_fields_set and self.parallelism.strategy != "device_map":
            self.__dict__["num_nodes"] = fewest_nodes(self.num_gpus)
        return self

    @model_validator(mode="after")
    def _consistent(self) -> "PlanRequest":
        if self.method not in LORA_METHODS and self.lora is not None:
            raise ValueError(f"lora: settings given with method {self.method!r}: use method 'lora', or leave lora out")
        if self.method not in PROMPT_METHODS and self.prompt is not None:
            raise ValueError(f"prompt: settings given with method {self.method!r}: only {', '.join(PROMPT_METHODS)}")
        if self.method == "prefix_tuning" and self.gradient_checkpointing:
            raise ValueError("gradient_checkpointing: PEFT has none with prefix_tuning: use false")
        if self.method != "qlora" and self.quantization is not None:
            raise ValueError(
                f"quantization: given with method {self.method!r}: only 'qlora' trains on a quantized base"
            )
        if self.device == "cpu" and self.gpu is not None:
            raise ValueError(f"gpu: {self.gpu!r} with device 'cpu': leave gpu out, or use device 'cuda'")
        broken = broken_rule(self)
        if broken is not None:
            raise ValueError(broken)
        return self

    @property
    def lora_settings(self) -> LoraSettings | None:
        """The adapter settings in force: None for methods without low-rank adapters."""
        return (self.lora or LoraSettings()) if self.method in LORA_METHODS else None

    @property
    def adapter_kind(self) -> AdapterKind:
        """What an adapted linear computes."""
        if self.method in ("adalora", "ia3"):
            return self.method
        lora = self.lora_settings
        return "dora" if self.method == "dora" or (lora is not None and lora.use_dora) else "lora"

    @property
    def virtual_tokens(self) -> int:
        """Tokens that a prompt method adds to each sequence."""
        return self.prompt_settings.num_virtual_tokens if self.method in PROMPT_METHODS else 0

    @property
    def prompt_settings(self) -> PromptSettings:
        """The prompt settings in force, where the method trains a prompt."""
        return self.prompt or PromptSettings()

    @property
    def quantization_settings(self) -> QuantizationSettings | None:
        """The quantization in force: None unless the method is qlora."""
        return (self.quantization or QuantizationSettings()) if self.method == "qlora" else None

    @property
    def names_stack(self) -> bool:
        """Whether the request says which stack runs: else several readings of its fields are open."""
        return "stack" in self.model_fields_set

    @property
    def upcasts_unquantized(self) -> bool:
        """Whether the parameters that stay unquantized are cast to float32.

        What the request says; else as peft 0.21 prepare_model_for_kbit_training does, which leaves GPTQ and HQQ bases
        alone, and which trainers do not call where weights are sharded (trl 0.12 sft_trainer.py is_sharded_qlora,
        axolotl 0.18 loaders/model.py). Where no stack is named, a run under autocast is taken as most trainers make
        it: they cast embeddings and head back to 16 bits, or never upcast (trl 0.7 to 0.15 peft_module_casting_to_bf16
        with bf16, axolotl, LLaMA-Factory, Unsloth).
        """
        quantization = self.quantization_settings
        if quantization is None:
            return False
        if "upcast_unquantized" in quantization.model_fields_set:
            return quantization.upcast_unquantized
        if quantization.kind in ("gptq", "hqq") or self.parallelism.strategy in ONE_DTYPE:
            return False
        return self.names_stack or self.mixed_precision == "no"


def parse_request(data: Any) -> PlanRequest:
    """Validate a request given as a mapping.

    Raises RequestError with one line that names the field, the value given and the rule.
    """
    try:
        return PlanRequest.model_validate(data)
    except ValidationError as error:
        raise as_request_error(error) from None


def _short(value: object) -> str:
    """What was given, on a line that stays readable."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_request_error(error: ValidationError) -> RequestError:
    """A refusal of pydantic's as one line: the field, the value given and the rule."""
    found = error.errors(include_url=False)
    first = found[0]
    field = _field(first)
    message = first["msg"].removeprefix("Value error, ")
    others = [e["msg"].removeprefix("Input should be ") for e in found[1:] if field and _field(e) == field]
    others = [other for other in others if not message.endswith(other)]
    message = " or ".join(dict.fromkeys([message, *others])).replace("tuple", "list")
    message = re.sub(r"a valid dictionary or instance of \w+", "an object", message)
    if not field and ":" in message:
        field = message.split(":", 1)[0]
    given = first.get("input")
    if first["type"] == "missing":
        return RequestError(f"{field}: missing: every request needs it", field)
    if first["type"] == "extra_forbidden":
        return RequestError(
            f"{field or repr(field)}: no such field in a request; `tunebudget schema` lists them", field
        )
    shown = "" if isinstance(given, (dict, BaseModel)) else f" (given: {_short(given)})"
    return RequestError(f"{field}: {message}{shown}" if not message.startswith(field) else message, field)


def _field(error: Any) -> str:
    """The field's path: pydantic adds the branch of a union ("str", "dict[str,any]") to it, which is no field."""
    parts = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        branches = (i for i, part in enumerate(parts) if i and (part == "str" or "[" in part or "function-" in part))
        parts = parts[: next(branches, len(parts))]
    return ".".join(parts)
