"""What a CUDA process needs besides tensors: context, library workspaces, the allocator's slack.

Everything here is a stated assumption with its source; CPU runs have none of it.
"""

from dataclasses import dataclass

from planner.memory.band import Band
from planner.memory.dims import Number, truncated
from planner.units import MIB

#: Context, kernels and driver structures of one process outside torch's allocator, with lazy module loading
#: (CUDA 11.7 and newer): posted figures run from about 400 MB (pytorch issue 109888) to 0.71 GiB before the first
#: tensor (stas00 ml-engineering, debug/pytorch.md); the middle of that range is taken.
CONTEXT_BYTES = 560 * MIB

#: torch's default cuBLAS workspace a handle and stream (aten/src/ATen/cuda/CublasHandlePool.cpp,
#: parseChosenWorkspaceSize): 4096 KiB x 2 + 16 KiB x 8; 32 MiB from compute capability 9.0 on.
CUBLAS_WORKSPACE_BYTES = 4096 * 1024 * 2 + 16 * 1024 * 8
CUBLAS_WORKSPACE_HOPPER_BYTES = 32 * MIB

#: Reserved over allocated: blocks over 1 MiB are cut from segments rounded to 2 MiB (c10 CUDACachingAllocator), and
#: segments are left partly used as sizes change. One share for all until it is modelled from sizes and lifetimes.
FRAGMENTATION_SHARE = 0.04
SEGMENT_BYTES = 2 * MIB


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """The step's tensors as the allocator and the driver see them; arrays where the peak is one."""

    runtime: int
    reserved: Number
    device: Number
    low: Number
    high: Number


#: Families whose forward reshapes the token ids, so that the counted steps see them (profiler/storages.py).
_RESHAPED_IDS = frozenset({"gpt2", "opt", "t5", "mt5"})
#: Families whose recurrent layers multiply with a view of the batch's padding mask, so that the counted steps see it.
_VIEWED_MASK = frozenset({"qwen3_next", "qwen3_5", "qwen3_5_moe", "mamba", "jamba", "nemotron_h"})


def batch_bytes(device: str, model_type: str, padded: bool, batch: Number, length: Number) -> Number:
    """The batch itself, 8 bytes a token and tensor: ids and labels, and the attention mask where padding is passed.

    CPU steps are counted without the batch, which is made before them, but for what a model's forward takes views of.
    """
    if device == "cuda":
        return 8 * batch * length * (3 if padded else 2)
    seen = model_type in _RESHAPED_IDS or (padded and model_type in _VIEWED_MASK)
    return 8 * batch * length if seen else 0 * batch * length


def cublas_workspace_bytes(compute_capability: float | None) -> int:
    """Workspace torch allocates for cuBLAS at the first matrix product."""
    if compute_capability is not None and compute_capability >= 9.0:
        return CUBLAS_WORKSPACE_HOPPER_BYTES
    return CUBLAS_WORKSPACE_BYTES


def device_bytes(peak_bytes: Number, device: str, band: Band) -> DeviceBytes:
    """From the peak of tensor bytes to what the device shows, with its band."""
    if device == "cpu":
        return DeviceBytes(0, peak_bytes, peak_bytes, *band.ends(peak_bytes))
    slack = truncated(peak_bytes * FRAGMENTATION_SHARE)
    reserved = -(-(peak_bytes + slack) // SEGMENT_BYTES) * SEGMENT_BYTES
    device_total = reserved + CONTEXT_BYTES
    return DeviceBytes(CONTEXT_BYTES, reserved, device_total, *band.ends(device_total))
