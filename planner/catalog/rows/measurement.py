"""The rows of data/measurements/: training runs that others measured and published, and what this project measured."""

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from planner.catalog.rows import Row, Text
from planner.units import GB, GIB, MIB

Metric = Literal[
    "max_allocated",
    "allocated_end_of_train",
    "steady_allocated_avg",
    "max_reserved",
    "reserved_avg",
    "reserved_p99",
    "nvidia_smi",
    "oom_lower_bound",
    "unknown",
]
Dtype = Literal["bfloat16", "float16", "float32", "float64"]
UNIT_BYTES = {"GiB": GIB, "GB": GB, "MiB": MIB}

#: Columns about one figure of a run, not about the run.
_FIGURE = {"id", "quote", "value", "unit", "metric", "scope", "completeness", "assumptions", "notes"}


class MeasurementRow(Row):
    """One figure of data/measurements/runs.csv: what was run, what was measured, who says so. Blank: not stated."""

    id: Text
    source_url: Text
    source_title: Text
    quote: Text = Field(description="the figure in the source's own words")
    framework: Text
    framework_version: str = ""
    model: str = ""
    model_params_b: NonNegativeFloat | None = None
    method: Text
    dtype: Dtype = Field(description="dtype the base weights are loaded in")
    quant: Literal["nf4", "int8", "gptq4"] | None = None
    double_quant: bool | None = None
    lora_r: PositiveInt | None = None
    lora_targets: str = Field("", description="modules with adapters, then after + those trained in full")
    lora_dtype: Dtype | None = None
    optimizer: Text = Field(description="kind of optimizer and dtype of its states")
    mixed_precision: str = ""
    per_device_train_batch_size: PositiveInt | None = None
    max_length: NonNegativeInt | None = Field(None, description="tokens a sequence; 0: measured before a step")
    gradient_accumulation_steps: PositiveInt | None = None
    gradient_checkpointing: bool | None = None
    attention: Literal["flash", "sdpa", "eager"] | None = None
    loss: Literal["standard", "chunked", "fused"] | None = None
    compile: bool = False
    num_gpus: PositiveInt
    gpu: str = Field("", description="the card as the source names it")
    sharding: Text
    offload: Literal["none", "cpu_params", "activations"]
    value: PositiveFloat
    unit: Literal["GiB", "GB", "MiB"]
    metric: Metric
    scope: Literal["per_gpu", "total"]
    completeness: Literal["full", "partial"] = Field(
        description="full: every input that matters is stated or a documented default"
    )
    assumptions: str = ""
    notes: str = Field("", description="what looks odd")

    @property
    def source(self) -> str:
        """Who measured: the repository, or the site. Rows of one source share their mistakes."""
        return source_of(self.source_url)

    @property
    def measured_bytes(self) -> int:
        """The figure in bytes, as the scope says: of one device, or of all."""
        return round(self.value * UNIT_BYTES[self.unit])

    @property
    def run(self) -> tuple[object, ...]:
        """What tells one run from another: all but the figure; a run can have several figures."""
        return tuple(self.model_dump(exclude=_FIGURE).values())

    @property
    def ran_out(self) -> bool:
        """The run ended for want of memory: the figure is the card's size, and too little."""
        return self.metric == "oom_lower_bound"


#: Sites whose pages belong to a repository.
_PROJECTS = {"huggingface.co/docs/peft": "huggingface/peft", "pytorch.org/torchtune": "pytorch/torchtune"}


def source_of(url: str) -> str:
    """The project behind an address: OWNER/NAME of a repository, or the host of a site."""
    parts = urlsplit(url)
    address = parts.netloc + parts.path
    for start, project in _PROJECTS.items():
        if address.startswith(start):
            return project
    return "/".join(parts.path.split("/")[1:3]) if parts.netloc == "github.com" else parts.netloc


class ExplanationRow(Row):
    """Why a run's prediction is off, or why the source is at odds with itself, and how that was checked."""

    id: Text
    explanation: Text
    checked_by: Text
    beyond_request: bool = Field(
        False, description="the run did, or the figure counts, what no request says: no band is fitted to it"
    )


def _json_object(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]


class FrameworkRow(Row):
    """A training framework as a source names it, and the stack of ours that does the same; blank: none does."""

    framework: Text
    framework_version: str = ""
    stack: str = Field("", description="with the version after @ where memory depends on it")
    settings: JsonObject = Field({}, description="what this framework sets besides, as fields of a request")
    reason: Text


class OwnRow(Row):
    """One training run that this project measured itself on a CPU, every storage followed."""

    id: Text
    source: Text = Field(description="the file of tests/golden/ that it stands in")
    program: Text
    versions: Text
    request: JsonObject
    weights_bytes: PositiveInt
    peak_bytes: PositiveInt
    steady_bytes: PositiveInt | None = None
