"""What a card gives: matrix products, memory and links a second. Fields are numbers, or arrays over several cards."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from planner.catalog.rows.gpu import GpuRow
from planner.errors import PlannerError
from planner.memory.dims import Number
from planner.throughput.constants import Constants
from planner.units import GB, MB

_TERA = 1000 * GB


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one device, a second: operations of matrix products and of attention by dtype, bytes of memory and links.

    peak_flops: the dense 16-bit rate, the denominator of MFU. Links are one way. cache_bytes: of L2, 0 where not known.
    """

    bfloat16_flops: Number
    float16_flops: Number
    float32_flops: Number
    attention_bfloat16_flops: Number
    attention_float16_flops: Number
    attention_float32_flops: Number
    peak_flops: Number
    memory_bytes: Number
    peer_bytes: Number
    host_bytes: Number
    network_bytes: Number
    cache_bytes: Number

    @property
    def int8_flops(self) -> Number:
        """Products of LLM.int8, at the 16-bit rate: the catalogue has no int8 rates, and its kernels were not timed."""
        return self.bfloat16_flops


class UnknownRateError(PlannerError):
    """The catalogue has no rate of a card that a step's time needs."""


def rates_of(gpu: GpuRow, constants: Constants) -> Rates:
    """The rates of a card. Raises UnknownRateError where the catalogue has not seen its matrix rate or bandwidth."""
    return _rates(gpu, constants)


def stacked(rates: Sequence[Rates]) -> Rates:
    """Several cards' rates as arrays, to be broadcast against arrays of other things."""
    import numpy as np

    return Rates(*(np.array([getattr(one, field.name) for one in rates], float) for field in fields(Rates)))


@lru_cache(maxsize=512)
def _rates(gpu: GpuRow, c: Constants) -> Rates:
    dense = gpu.bf16_fp32acc_tflops or gpu.bf16_dense_tflops
    half, single = gpu.fp16_dense_tflops or dense, gpu.fp32_tflops
    if gpu.mem_bandwidth_gb_s is None or (half or single) is None:
        raise UnknownRateError(
            f"{gpu.key}: no matrix rate or memory bandwidth was seen: its step time is not estimated"
        )
    # without bf16 tensor cores products go through float32
    brain = dense or c.emulated_share * (single or 0)
    half = min(half, dense) if half and dense else half or single or 0
    single = single or dense or half
    best = _best_share(gpu, dense) or c.unseen_share
    attention = c.hopper_attention_share if _is_newer_than_ada(gpu) else c.attention_share
    peer = gpu.peer_gb_s or gpu.host_gb_s or c.network_gb_s
    return Rates(
        bfloat16_flops=brain * _TERA * best * c.matmul_share,
        float16_flops=half * _TERA * best * c.matmul_share,
        float32_flops=single * _TERA * c.matmul_share,
        attention_bfloat16_flops=brain * _TERA * attention,
        attention_float16_flops=half * _TERA * attention,
        attention_float32_flops=single * _TERA * attention,
        peak_flops=(dense or half) * _TERA,
        memory_bytes=gpu.mem_bandwidth_gb_s * GB,
        peer_bytes=peer * GB,
        host_bytes=(gpu.host_gb_s or peer) * GB,
        network_bytes=(gpu.network_gb_s or c.network_gb_s) * GB,
        cache_bytes=(gpu.l2_cache_mb or 0) * float(MB),
    )


def lacks_bfloat16(gpu: GpuRow) -> bool:
    """Whether bfloat16 products have no tensor cores to run on."""
    return gpu.bf16_fp32acc_tflops is None and gpu.bf16_dense_tflops is None


def _best_share(gpu: GpuRow, dense: float | None) -> float | None:
    """What the best measured matrix product reaches of the dense rate."""
    return gpu.bf16_achieved_tflops / dense if gpu.bf16_achieved_tflops and dense else None


def _is_newer_than_ada(gpu: GpuRow) -> bool:
    """Hopper and later: the flash kernels of published runs do not use their asynchronous tensor cores."""
    return gpu.vendor == "nvidia" and gpu.compute_capability is not None and float(gpu.compute_capability) >= 9
