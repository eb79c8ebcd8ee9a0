"""The rows of data/*.csv: one frozen model a table, units in the names, provenance required."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt

from planner.units import GB, MIB

_TERA = 1000 * GB

Text = Annotated[str, Field(min_length=1)]
Pricing = Literal["on_demand", "spot"]


def _split(value: object) -> object:
    return tuple(value.split("|")) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelRow(_Row):
    """One architecture of data/models/index.csv; its config is read by load_config."""

    id: Text = Field(description="Hub id")
    aliases: Names = Field((), description="other names, among them repositories of the same architecture")
    model_type: Text
    family: Text
    released: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="YYYY-MM, recalled")]
    license: Text = Field(description="of the weights, recalled: the model card decides")
    gated: bool = Field(description="the Hub asks for consent before a download, recalled")
    params: PositiveInt = Field(description="unique parameters, tied weights once, buffers not counted")
    params_check: Literal["exact", "explained", "rounded", "built"] = Field(
        description="against a published count: equal, different for a known reason, equal when rounded, none found"
    )
    params_source: str = Field("", description="where the published count was seen")
    source: Text = Field(description="where the config's values were seen")
    checked: date
    config_file: Text = Field(description="file in data/models/configs/")
    stand_in: bool = Field(description="model_type may be a stand-in of equal shape for a remote-code model")
    notes: str = ""

    @property
    def url(self) -> str:
        """The model's page on the Hub."""
        return f"https://huggingface.co/{self.id}"


class GpuRow(_Row):
    """One device as a framework sees it, of data/gpus.csv. Rates are dense, never with 2:4 sparsity."""

    key: Text
    name: Text
    aliases: Names = ()
    vendor: Literal["nvidia", "amd", "intel", "apple", "google"]
    architecture: Text
    compute_capability: str | None = Field(None, description="CC of NVIDIA cards, gfx name of AMD cards")
    memory_marketing_gb: PositiveFloat = Field(description="the size on the box")
    memory_total_mib: PositiveInt = Field(description="what the driver shows")
    memory_total_source: Text
    ecc_default: str = ""
    usable_mib: PositiveInt = Field(description="what the framework can allocate in all, before its own context")
    usable_source: Text = Field(description='starts with "seen" or "derived"')
    mem_bandwidth_gb_s: PositiveFloat | None = None
    bf16_dense_tflops: PositiveFloat | None = Field(None, description="vendor's dense figure")
    bf16_fp32acc_tflops: PositiveFloat | None = Field(None, description="dense with fp32 accumulation, as torch runs")
    fp16_dense_tflops: PositiveFloat | None = None
    fp32_tflops: PositiveFloat | None = Field(None, description="without tensor cores")
    tf32_dense_tflops: PositiveFloat | None = None
    fp8_dense_tflops: PositiveFloat | None = None
    compute_source: str = ""
    compute_note: str = ""
    interconnect: str = ""
    tdp_w: PositiveFloat | None = Field(None, description="power cap, not measured draw")
    launch_msrp_usd: PositiveFloat | None = None
    msrp_source: str = ""
    launch_date: date | None = None
    cuda_context_mib: PositiveInt | None = Field(None, description="posted for this card; null: not seen")
    cuda_context_source: str = ""
    source_url: Text
    as_of: date = Field(description="day the row was collected")
    notes: str = ""

    @property
    def memory_total_bytes(self) -> int:
        """Bytes the driver shows."""
        return self.memory_total_mib * MIB

    @property
    def usable_bytes(self) -> int:
        """Bytes the framework can allocate in all: context and tensors must fit into these."""
        return self.usable_mib * MIB

    @property
    def cuda_context_bytes(self) -> int | None:
        """Bytes of a CUDA context posted for this card, before lazy kernel loading; None: not seen."""
        return None if self.cuda_context_mib is None else self.cuda_context_mib * MIB

    @property
    def mem_bandwidth_bytes_per_second(self) -> float | None:
        """Peak memory bandwidth in bytes a second."""
        return None if self.mem_bandwidth_gb_s is None else self.mem_bandwidth_gb_s * GB

    @property
    def bf16_dense_flops(self) -> float | None:
        """Vendor's dense bf16 rate in FLOP/s; None: the card has no bf16 tensor math, or none was seen."""
        return _flops(self.bf16_dense_tflops)

    @property
    def bf16_gemm_flops(self) -> float | None:
        """Dense bf16 rate in FLOP/s with fp32 accumulation, the ceiling of torch's GEMMs: the denominator of MFU.

        Falls back to the vendor's dense figure where the accumulation is not stated.
        """
        return _flops(self.bf16_fp32acc_tflops or self.bf16_dense_tflops)

    @property
    def fp16_dense_flops(self) -> float | None:
        """Dense fp16 rate in FLOP/s."""
        return _flops(self.fp16_dense_tflops)

    @property
    def fp32_flops(self) -> float | None:
        """fp32 rate in FLOP/s without tensor cores."""
        return _flops(self.fp32_tflops)


def _flops(tflops: float | None) -> float | None:
    return None if tflops is None else tflops * _TERA


class PriceRow(_Row):
    """One offer of data/prices.csv, in USD an hour."""

    provider: Text
    gpu_key: Text
    gpus_per_instance: PositiveInt
    instance_type: str = ""
    sold_as: Literal["instance", "per_gpu", "part"] = Field(
        description="instance: as it stands; per_gpu: any count up to 8 at this price each; "
        "part: a list price whose host is extra, not stated, or only sold in larger shapes"
    )
    vcpus: PositiveInt | None = None
    ram_gib: PositiveFloat | None = None
    region: str = ""
    region_scope: Text
    price_usd_per_hour_instance: PositiveFloat
    price_usd_per_gpu_hour: PositiveFloat
    pricing: Pricing
    as_of: date | None = Field(None, description="day the price was valid; null: the source has no date")
    as_of_basis: Text = Field(description="how the date, or the lack of one, is known")
    date_confidence: Literal["dated", "bracketed", "undated", "old"]
    derived: bool = Field(description="summed or counted from parts, as the note says")
    cheapest_in_group: bool = Field(description="least price of this provider, card, count and pricing")
    source_url: Text
    collected: date
    note: str = ""

    @property
    def is_indicative(self) -> bool:
        """Not to be held against a dated price of an instance one can start: old, or the price of a part."""
        return self.date_confidence == "old" or self.sold_as == "part"
