"""The rows of data/gpus.csv."""

from datetime import date
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from planner.catalog.rows import Names, Row, Text
from planner.units import GB, MIB

_TERA = 1000 * GB


class GpuRow(Row):
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
    l2_cache_mb: PositiveFloat | None = Field(None, description="cache between the cores and memory, MB")
    l2_cache_source: str = ""
    bf16_dense_tflops: PositiveFloat | None = Field(None, description="vendor's dense figure")
    bf16_fp32acc_tflops: PositiveFloat | None = Field(None, description="dense with fp32 accumulation, as torch runs")
    fp16_dense_tflops: PositiveFloat | None = None
    fp32_tflops: PositiveFloat | None = Field(None, description="without tensor cores")
    tf32_dense_tflops: PositiveFloat | None = None
    fp8_dense_tflops: PositiveFloat | None = None
    compute_source: str = ""
    compute_note: str = ""
    bf16_achieved_tflops: PositiveFloat | None = Field(None, description="best bf16 GEMM that was measured")
    interconnect: str = ""
    peer_gb_s: PositiveFloat | None = Field(None, description="one way, from one card to the others of its node")
    host_gb_s: PositiveFloat | None = Field(None, description="one way, between a card and its host's memory")
    network_gb_s: PositiveFloat | None = Field(
        None, description="one way, a card's share of its node's network, in the vendor's own servers"
    )
    link_source: str = Field("", description="for the achieved rate and the three links")
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
