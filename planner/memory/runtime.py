"""What a CUDA process needs besides tensors: context, library workspaces, the allocator's slack.

Everything here is a stated assumption with its source; CPU runs have none of it.
"""

from dataclasses import dataclass

from planner.catalog.contexts import context_mib
from planner.memory.band import Band
from planner.memory.dims import Number, larger, smaller, truncated
from planner.schema import PlanRequest
from planner.units import MIB

#: Context, kernels and driver structures of one process outside torch's allocator, with lazy module loading
#: (CUDA 11.7 and newer): posted figures run from about 400 MB (pytorch issue 109888) to 0.71 GiB before the first
#: tensor (stas00 ml-engineering, debug/pytorch.md); the middle of that range is taken where the card is not named or
#: nothing was posted of its compute capability.
CONTEXT_BYTES = 560 * MIB
CONTEXT_SOURCE = "data/contexts.csv by compute capability, else planner/memory/runtime.py CONTEXT_BYTES"

#: torch's default cuBLAS workspace a handle and stream (aten/src/ATen/cuda/CublasHandlePool.cpp,
#: parseChosenWorkspaceSize): 4096 KiB x 2 + 16 KiB x 8; 32 MiB from compute capability 9.0 on.
CUBLAS_WORKSPACE_BYTES = 4096 * 1024 * 2 + 16 * 1024 * 8
CUBLAS_WORKSPACE_HOPPER_BYTES = 32 * MIB

#: What the allocator must have over the peak, where it gives cached segments back before it fails: 3.7% in the median
#: of 130 replays that were given as little as they could finish with (benchmarks/allocator.py's requests, tried by
#: bisection; 1.7% to 8.7% for half of them). Of traced plans, whose blocks nobody knows, what it reserves.
NEEDED_SHARE = 0.04
SEGMENT_BYTES = 2 * MIB

#: Buffers of NCCL's communicator, outside torch's allocator. NCCL 2.21 src/init.cc computeBuffSizes: 4 MiB (simple) +
#: 4,915,200 (LL128) + 512 KiB (LL) a connection; a channel has one in its ring and one in its tree, and there are 24,
#: as NCCL prints ("24 coll channels") where A100s are joined by NVLink.
NCCL_BYTES = (4 * MIB + 4_915_200 + 512 * 1024) * 24 * 2


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """The step's tensors as the allocator and the driver see them; numbers, or arrays.

    runtime: what lies outside the allocator, of which the context is one part.
    reserved, device: at their highest, as the card lets them. needed: what a run must have, the least slack included.
    low, high: the band of device; needed_low, needed_high: that of what is needed.
    """

    runtime: Number
    context: Number
    reserved: Number
    device: Number
    low: Number
    high: Number
    needed: Number
    needed_low: Number
    needed_high: Number


#: Families whose forward reshapes the token ids, so that the counted steps see them (profiler/storages.py).
_RESHAPED_IDS = frozenset({"gpt2", "opt", "t5", "mt5"})
_QWEN3_5 = ("qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text")
#: Families that take views of the batch's padding mask, so that the counted steps see it.
_VIEWED_MASK = frozenset({"gpt2", "qwen3_next", *_QWEN3_5, "mamba", "jamba", "nemotron_h"})


def batch_bytes(device: str, model_type: str, padded: bool, batch: Number, length: Number) -> Number:
    """The batch itself, 8 bytes a token and tensor: ids and labels, and the attention mask where padding is passed.

    CPU steps are counted without the batch, which is made before them, but for what a model's forward takes views of.
    """
    if device == "cuda":
        return 8 * batch * length * (3 if padded else 2)
    seen = (model_type in _RESHAPED_IDS) + (padded and model_type in _VIEWED_MASK)
    return 8 * batch * length * seen


def cublas_workspace_bytes(compute_capability: float | None) -> int:
    """Workspace torch allocates for cuBLAS at the first matrix product."""
    if compute_capability is not None and compute_capability >= 9.0:
        return CUBLAS_WORKSPACE_HOPPER_BYTES
    return CUBLAS_WORKSPACE_BYTES


def context_bytes(compute_capability: float | None) -> int:
    """A process's CUDA context: the median of what was posted of cards of this compute capability (data/contexts.csv).

    From a T4 to an RTX 5090 it differs by a factor of four, from card to card of one capability by a fifth.
    """
    posted = context_mib(compute_capability) if compute_capability is not None else None
    return CONTEXT_BYTES if posted is None else round(posted * MIB)


def nccl_bytes(request: PlanRequest) -> int:
    """Buffers of a process that talks to others; a single one with several cards does not."""
    return NCCL_BYTES if request.num_gpus > 1 and request.parallelism.strategy != "device_map" else 0


def device_bytes(
    peak_bytes: Number,
    cached_bytes: Number,
    request: PlanRequest,
    band: Band,
    usable_bytes: Number | None = None,
    context: Number = CONTEXT_BYTES,
) -> DeviceBytes:
    """From the peak of tensor bytes to what the device shows, with its band.

    cached_bytes: what the allocator would hold at its highest (reserved.py). usable_bytes: of the card: where the
    allocator would go beyond it, it gives its cache back and goes on, down to what is needed. context: of the card.
    """
    if request.device == "cpu":
        ends = band.ends(peak_bytes)
        return DeviceBytes(0, 0, peak_bytes, peak_bytes, *ends, peak_bytes, *ends)
    runtime = context + nccl_bytes(request)
    cached = _segments(larger(peak_bytes, cached_bytes))
    needed = smaller(_segments(with_slack(peak_bytes)), cached)
    reserved = cached if usable_bytes is None else smaller(cached, larger(usable_bytes - runtime, needed))
    device, needs = reserved + runtime, needed + runtime
    return DeviceBytes(runtime, context, reserved, device, *band.ends(device), needs, *band.ends(needs))


def with_slack(peak_bytes: Number) -> Number:
    """The peak with the least slack that the allocator does with."""
    return peak_bytes + truncated(peak_bytes * NEEDED_SHARE)


def _segments(num_bytes: Number) -> Number:
    """Rounded up to what the driver is asked for."""
    return -(-truncated(num_bytes) // SEGMENT_BYTES) * SEGMENT_BYTES
