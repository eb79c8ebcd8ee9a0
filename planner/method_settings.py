"""Settings of what is trained and on what: adapters, trained prompts, quantized bases, checkpointing.

Sections of the request, spelled as PEFT, bitsandbytes and torch spell them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Dtype = Literal["bfloat16", "float16", "float32"]
#: What an adapted linear computes.
AdapterKind = Literal["lora", "dora", "adalora", "ia3"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class GradientCheckpointingKwargs(_Frozen):
    """Keyword arguments of torch.utils.checkpoint.checkpoint."""

    use_reentrant: bool = False


class LoraSettings(_Frozen):
    """PEFT's LoraConfig, as far as memory and time depend on it."""

    r: Annotated[int, Field(ge=1, le=2**16, description="rank")] = 16
    lora_alpha: Annotated[float, Field(gt=0)] = 32
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | tuple[str, ...] = Field(
        "all-linear", description='"all-linear" or a list of module names or their endings'
    )
    modules_to_save: tuple[str, ...] = Field((), description="modules trained in full and saved with the adapter")
    use_dora: bool = False
    use_rslora: bool = False
    autocast_adapter_dtype: bool = Field(True, description="keep adapters of a 16-bit base in float32, as PEFT does")

    @field_validator("target_modules")
    @classmethod
    def _targets(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise ValueError('name at least one module, or "all-linear"')
        return value


class PromptSettings(_Frozen):
    """PEFT's PromptTuningConfig, PrefixTuningConfig and PromptEncoderConfig."""

    num_virtual_tokens: Annotated[int, Field(ge=1, le=2**16, description="trained tokens before each sequence")] = 20
    encoder_hidden_size: Annotated[int, Field(ge=1, le=2**20)] | None = Field(
        None, description="width of p_tuning's encoder; null: the model's"
    )


class QuantizationSettings(_Frozen):
    """transformers' BitsAndBytesConfig or its like, and what prepare_model_for_kbit_training does to the rest."""

    load_in_4bit: bool = True
    load_in_8bit: bool = Field(False, description="LLM.int8 instead of 4 bits")
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_use_double_quant: bool = True
    bnb_4bit_compute_dtype: Dtype | None = Field(None, description="null: the request's dtype")
    upcast_unquantized: bool = Field(
        True,
        description="prepare_model_for_kbit_training casts every 16-bit parameter that stays to float32; left open, "
        "false for gptq and hqq, where weights are sharded, and under autocast where no stack is named",
    )

    quant_method: Literal["bitsandbytes", "gptq", "awq", "hqq"] = "bitsandbytes"
    bits: int | None = Field(None, description="of gptq, awq and hqq; null: 4")
    group_size: Annotated[int, Field(ge=1, le=2**20)] | None = Field(
        None, description="inputs that share a scale, of gptq, awq and hqq; null: 128 (hqq: 64)"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "QuantizationSettings":
        bits_and_bytes = self.quant_method == "bitsandbytes"
        if bits_and_bytes and self.load_in_8bit and self.load_in_4bit and "load_in_4bit" in self.model_fields_set:
            raise ValueError("load_in_4bit and load_in_8bit: name one of the two")
        if bits_and_bytes and not self.load_in_4bit and not self.load_in_8bit:
            raise ValueError("load_in_4bit must be true, or load_in_8bit, or quant_method another than bitsandbytes")
        if not bits_and_bytes and self.load_in_8bit:
            raise ValueError(f"load_in_8bit: bitsandbytes' own; with quant_method {self.quant_method!r} say bits: 8")
        if bits_and_bytes and (self.bits is not None or self.group_size is not None):
            raise ValueError(
                "bits and group_size: of gptq, awq and hqq; bitsandbytes has load_in_4bit and load_in_8bit"
            )
        if self.bits not in (None, 2, 3, 4, 8):
            raise ValueError(f"bits: 2, 3, 4 or 8 (given: {self.bits})")
        if self.quant_method == "awq" and self.bits not in (None, 4):
            raise ValueError(f"bits: AWQ's kernels take 4 (given: {self.bits})")
        return self

    @property
    def kind(self) -> Literal["bnb_4bit", "bnb_8bit", "gptq", "awq", "hqq"]:
        """The layout of the weights."""
        if self.quant_method == "bitsandbytes":
            return "bnb_8bit" if self.load_in_8bit else "bnb_4bit"
        return self.quant_method

    @property
    def is_checkpoint(self) -> bool:
        """Whether the weights come quantized from a checkpoint, which has experts as linears of their own."""
        return self.quant_method in ("gptq", "awq")

    @property
    def bits_in_force(self) -> int:
        """Bits of a quantized value."""
        return {"bnb_4bit": 4, "bnb_8bit": 8}.get(self.kind, self.bits or 4)

    @property
    def group_size_in_force(self) -> int:
        """Inputs that share a scale (bitsandbytes: a block of 64, or a whole row)."""
        return self.group_size or (128 if self.quant_method in ("gptq", "awq") else 64)
