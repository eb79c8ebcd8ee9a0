"""The constants of the step's time: a few a kind of operation, kept with their basis in data/throughput/."""

from dataclasses import dataclass
from functools import cache

from planner.catalog.throughput import list_constants


@dataclass(frozen=True, slots=True)
class Constants:
    """Shares are of the card's own figures; data/throughput/constants.csv says what each constant means.

    matmul_share, attention_share and the like, stream_share, dequantize_share, unpack_share: of the card's best matrix
    rate, its dense rate and its memory bandwidth; traffic_share: of the bytes of kernels taken one by one. half_side, half_depth: rows or columns of a product, and its summed
    side, at which half of the rate is reached. kernel_seconds, launch_seconds: what a call takes at least on the card, and on the host.
    link_share, collective_seconds, hop_seconds, overlap_share: of exchanges between devices.
    step_seconds, deepspeed_seconds: of the host, a step and a parameter that DeepSpeed's ZeRO handles.
    """

    matmul_share: float
    unseen_share: float
    emulated_share: float
    attention_share: float
    hopper_attention_share: float
    triton_attention_share: float
    stream_share: float
    traffic_share: float
    dequantize_share: float
    unpack_share: float
    half_side: float
    half_depth: float
    kernel_seconds: float
    launch_seconds: float
    link_share: float
    network_gb_s: float
    collective_seconds: float
    hop_seconds: float
    overlap_share: float
    step_seconds: float
    deepspeed_seconds: float
    host_update_gb_s: float


@cache
def constants() -> Constants:
    """The constants in force."""
    return Constants(**{row.name: row.value for row in list_constants()})
