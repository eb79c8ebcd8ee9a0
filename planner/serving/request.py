"""The question of serving: one base in 16, 8 or 4 bits, adapters on it, and sequences that are answered at one time.

Names are those of PEFT, bitsandbytes and vLLM (max_num_seqs, max_model_len, max_num_batched_tokens, kv_cache_dtype).
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from planner.dataset import MAX_TOKENS
from planner.errors import RequestError
from planner.schema import MAX_BATCH, MAX_LENGTH, Dtype, LoraSettings, QuantizationSettings, as_request_error

Engine = Literal["transformers", "vllm"]
CacheDtype = Literal["auto", "fp8", "int8", "int4"]

MAX_ADAPTERS = 10**6


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class AdapterGroup(_Frozen):
    """`count` adapters that are alike."""

    count: Annotated[int, Field(ge=1, le=MAX_ADAPTERS)] = 1
    lora: LoraSettings = LoraSettings()


class ServeRequest(_Frozen):
    """One question: this base with these adapters and sequences, on one card."""

    model: str | dict[str, Any] = Field(description="catalogue id or alias, path to a config.json, or the config")
    gpu: str | None = Field(None, description="key or alias of the catalogue")
    dtype: Dtype = Field("bfloat16", description="of what is not quantized, and of the cache")
    quantization: QuantizationSettings | None = Field(None, description="null: the base stays in dtype")
    adapters: tuple[AdapterGroup, ...] = (AdapterGroup(),)
    max_num_seqs: Annotated[int, Field(ge=1, le=MAX_BATCH, description="sequences that are answered at one time")] = 1
    max_model_len: Annotated[int, Field(ge=1, le=MAX_LENGTH, description="tokens a sequence, prompt and answer")] = 4096
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=MAX_LENGTH, description="tokens of one forward pass")] = 2048
    kv_cache_dtype: CacheDtype = Field("auto", description="auto: dtype; int8 and int4 with their scales")
    num_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = Field(
        None, description="tokens that each tenant's model is trained on; null: no hours and no cost"
    )
    engine: Engine = Field("transformers", description="whose cache: transformers' own, or vLLM's blocks of 16 tokens")

    @model_validator(mode="after")
    def _known_cache(self) -> "ServeRequest":
        if self.engine == "vllm" and self.kv_cache_dtype == "int4":
            raise ValueError("kv_cache_dtype: int4 of vLLM is not modelled: use fp8 or int8, or engine transformers")
        return self

    @property
    def num_adapters(self) -> int:
        return sum(group.count for group in self.adapters)

    @property
    def pass_shape(self) -> tuple[int, int]:
        """The largest pass over prompts: sequences side by side, and tokens of each."""
        tokens = min(self.max_model_len, self.max_num_batched_tokens)
        return max(1, min(self.max_num_seqs, self.max_num_batched_tokens // tokens)), tokens


def parse_serve_request(data: Any) -> ServeRequest:
    """Validate a request given as a mapping.

    Raises RequestError with one line that names the field, the value given and the rule.
    """
    try:
        return ServeRequest.model_validate(data)
    except ValidationError as error:
        raise as_request_error(error) from None


_GROUP = re.compile(r"\s*(?P<count>\d+)\s*x\s*(?P<rank>\d+)\s*(?::\s*(?P<targets>.+))?")


def group_of(text: str) -> dict[str, Any]:
    """Adapters as people write them: "100x16" are a hundred of rank 16, "8x64:q_proj,v_proj" eight on two modules.

    Raises RequestError for what is not written so.
    """
    found = _GROUP.fullmatch(text)
    if found is None:
        raise RequestError(f"adapters: {text!r} is not COUNTxRANK or COUNTxRANK:NAME,NAME: write 10x16", "adapters")
    lora: dict[str, Any] = {"r": int(found["rank"])}
    if found["targets"]:
        lora["target_modules"] = [name.strip() for name in found["targets"].split(",")]
    return {"count": int(found["count"]), "lora": lora}
