"""The rows of data/measurements/speeds.csv: training speeds that others measured and published."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from planner.catalog.rows import Row, Text
from planner.catalog.rows.measurement import Dtype, source_of


class SpeedRow(Row):
    """One measured speed: what was run, tokens a second of all devices, who says so. Blank: not stated."""

    id: Text
    source_url: Text
    quote: Text
    framework: Text
    stack: str = Field("", description="of ours that does the same; blank: none does")
    model: Text
    method: Text
    dtype: Dtype
    mixed_precision: Literal["no", "amp_bf16", "amp_fp16", "amp_fp8"]
    quant: Literal["nf4", "gptq4"] | None = None
    lora_r: PositiveInt | None = None
    lora_targets: str = ""
    per_device_train_batch_size: PositiveInt | None = None
    max_length: PositiveInt | None = None
    gradient_accumulation_steps: PositiveInt | None = None
    gradient_checkpointing: Literal["true", "false", "selective"] | None = None
    attention: Literal["flash", "sdpa", "eager"] | None = None
    loss: Literal["standard", "chunked", "fused"] | None = None
    compile: bool = False
    optim: str = Field("", description="as a request spells it")
    num_gpus: PositiveInt
    gpu: str = ""
    sharding: Text
    offload: Literal["none", "cpu"] = "none"
    tokens_per_second: PositiveFloat | None = None
    mfu_percent: PositiveFloat | None = None
    hours: NonNegativeFloat | None = None
    completeness: Literal["full", "partial"]
    assumptions: str = ""
    notes: str = ""

    @property
    def source(self) -> str:
        """Who measured: the repository, or the site."""
        return source_of(self.source_url)
