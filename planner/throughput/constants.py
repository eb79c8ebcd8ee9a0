"""The constants of the step's time: a few a kind of operation, kept with their basis in data/throughput/."""

from dataclasses import dataclass
from functools import cache

from planner.catalog.throughput import list_constants


@dataclass(frozen=True, slots=True)
class Constants:
    """What each means, its unit and basis stand in data/throughput/constants.csv; shares are of the card's figures.

    matmul to unpack: what kinds of kernels reach of a card's rates. half_side, half_depth: shapes of products.
    kernel, launch: a call on the card and on the host. link to overlap: exchanges between devices. step, deepspeed:
    the host's own work.
    """

    matmul_share: float
    unseen_share: float
    emulated_share: float
    attention_share: float
    hopper_attention_share: float
    triton_attention_share: float
    stream_share: float
    traffic_share: float
    plain_traffic_share: float
    fused_traffic_share: float
    cache_share: float
    dequantize_share: float
    unpack_share: float
    half_side: float
    half_depth: float
    kernel_seconds: float
    launch_seconds: float
    link_share: float
    host_link_share: float
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
