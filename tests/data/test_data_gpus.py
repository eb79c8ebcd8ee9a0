"""Invariants of data/gpus.csv, in the manner of gpuhunt's: every assertion names the row it is about."""

from collections import Counter

import pytest

from planner.catalog import GpuRow, list_gpus
from planner.catalog.names import gpu_spelling

#: Dense bf16 TFLOP/s no row may exceed: the printed figures with 2:4 sparsity are twice these.
DENSE_BF16_CEILINGS = {
    "a10": 125,
    "a10g": 70,
    "a30": 165.2,
    "a40": 149.7,
    "a100-40gb-pcie": 312,
    "a100-40gb-sxm": 312,
    "a100-80gb-pcie": 312,
    "a100-80gb-sxm": 312,
    "l4": 121,
    "l40": 181.1,
    "l40s": 362.1,
    "rtx-a6000": 154.9,
    "h100-pcie": 757,
    "h100-sxm": 990,
    "h100-nvl": 836,
    "h200-sxm": 990,
    "gh200-96gb": 990,
    "b200": 2500,
    "b300": 2500,
    "gb200": 2500,
    "rtx-4090": 165.3,
    "rtx-5090": 209.6,
    "rtx-pro-6000": 504,
    "rtx-pro-6000-server": 504,
    "mi250": 181.1,
    "mi250x": 191.5,
    "mi300x": 1307.4,
    "mi325x": 1307.4,
    "mi355x": 2520,
    "gaudi2": 432,
    "gaudi3": 1835,
    "tpu-v5e": 197,
    "tpu-v5p": 459,
    "tpu-v6e": 918,
}

#: The vendor prints 733 fp8 beside 362 bf16: rounded from other clocks.
FP8_ABOVE_TWICE_BF16 = {"l40s"}

#: Largest part of memory a framework was seen not to get, in MiB; B300 is derived as a share of its 268 GiB.
MAX_NVIDIA_ALLOWANCE_MIB = 1100


@pytest.fixture(scope="module")
def gpus() -> list[GpuRow]:
    return list_gpus()


def test_keys_are_unique_and_lower_case(gpus: list[GpuRow]) -> None:
    assert not [key for key, count in Counter(gpu.key for gpu in gpus).items() if count > 1]
    for gpu in gpus:
        assert gpu.key == gpu.key.lower().replace(" ", "-"), gpu.key


def test_no_two_cards_answer_to_one_name(gpus: list[GpuRow]) -> None:
    owners: dict[str, str] = {}
    for gpu in gpus:
        for name in (gpu.key, gpu.name, *gpu.aliases):
            spelling = gpu_spelling(name)
            assert spelling, f"{gpu.key}: {name}"
            assert owners.setdefault(spelling, gpu.key) == gpu.key, f"{name}: {owners[spelling]} and {gpu.key}"


def test_every_row_has_source_and_date(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        assert gpu.source_url.startswith(("https://", "pypi:")), gpu.key
        assert gpu.as_of.year >= 2026, gpu.key
        assert gpu.launch_date is None or gpu.launch_date <= gpu.as_of, gpu.key
        assert gpu.memory_total_source, gpu.key
        assert gpu.usable_source.startswith(("seen: ", "derived: ")), gpu.key


def test_every_rate_price_and_context_has_its_source(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        tensor_rates = (gpu.bf16_dense_tflops, gpu.fp16_dense_tflops, gpu.tf32_dense_tflops, gpu.fp8_dense_tflops)
        assert gpu.compute_source or not any(tensor_rates), gpu.key
        assert gpu.msrp_source or gpu.launch_msrp_usd is None, gpu.key
        assert gpu.cuda_context_source or gpu.cuda_context_mib is None, gpu.key


def test_no_private_paths(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        assert "/work/" not in gpu.model_dump_json(), gpu.key


def test_units_are_those_of_the_column_names(gpus: list[GpuRow]) -> None:
    ranges = {
        "memory_marketing_gb": (8, 600),
        "memory_total_mib": (8 * 1024, 600 * 1024),
        "mem_bandwidth_gb_s": (200, 10_000),
        "bf16_dense_tflops": (20, 3000),
        "fp32_tflops": (5, 300),
        "tdp_w": (60, 1500),
        "launch_msrp_usd": (200, 50_000),
        "cuda_context_mib": (200, 2000),
    }
    for gpu in gpus:
        for column, (low, high) in ranges.items():
            value = getattr(gpu, column)
            assert value is None or low <= value <= high, f"{gpu.key}: {column} {value}"


def test_usable_is_below_the_total_and_the_total_not_above_the_marketing_size(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        assert gpu.usable_mib < gpu.memory_total_mib, gpu.key
        assert gpu.memory_total_mib <= gpu.memory_marketing_gb * 1024, gpu.key


def test_what_a_framework_does_not_get_is_small(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        allowance_mib = gpu.memory_total_mib - gpu.usable_mib
        if gpu.vendor == "nvidia":
            assert 200 <= allowance_mib <= MAX_NVIDIA_ALLOWANCE_MIB, f"{gpu.key}: {allowance_mib} MiB"
        elif gpu.vendor == "apple":
            assert 0.66 <= gpu.usable_mib / gpu.memory_total_mib <= 0.85, gpu.key
        else:
            assert allowance_mib <= 2048, f"{gpu.key}: {allowance_mib} MiB"


def test_rates_are_dense_not_sparse(gpus: list[GpuRow]) -> None:
    by_key = {gpu.key: gpu for gpu in gpus}
    for key, ceiling in DENSE_BF16_CEILINGS.items():
        rate = by_key[key].bf16_dense_tflops
        assert rate is not None, key
        assert rate <= ceiling, f"{key}: {rate} TFLOP/s, dense is {ceiling}"


def test_geforce_bf16_is_twice_fp32(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        if gpu.name.startswith("GeForce") and gpu.bf16_dense_tflops and gpu.fp32_tflops:
            assert gpu.bf16_dense_tflops == pytest.approx(2 * gpu.fp32_tflops, rel=0.01), gpu.key


def test_the_rates_of_one_card_agree(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        bf16 = gpu.bf16_dense_tflops
        if bf16 is None:
            assert gpu.bf16_fp32acc_tflops is None, gpu.key
            continue
        assert (gpu.bf16_fp32acc_tflops or 0) <= bf16, gpu.key
        assert (gpu.tf32_dense_tflops or 0) <= 0.52 * bf16, gpu.key
        assert gpu.key in FP8_ABOVE_TWICE_BF16 or (gpu.fp8_dense_tflops or 0) <= 2.01 * bf16, gpu.key


def test_cards_without_bf16_have_none(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        if gpu.architecture in ("Pascal", "Volta", "Turing"):
            assert gpu.bf16_dense_tflops is None, gpu.key


def test_links_are_one_way_and_say_how_they_were_derived(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        if gpu.peer_gb_s is None:
            assert not gpu.link_source, gpu.key
            continue
        assert gpu.link_source, gpu.key
        assert gpu.peer_gb_s >= (gpu.host_gb_s or 0), gpu.key
        assert (gpu.host_gb_s or 0) <= 63.1, f"{gpu.key}: PCIe 5.0 x16 has 63 GB/s one way"
        assert gpu.network_gb_s is None or gpu.network_gb_s <= gpu.peer_gb_s, gpu.key


def test_no_measured_product_beats_the_dense_rate(gpus: list[GpuRow]) -> None:
    for gpu in gpus:
        if gpu.bf16_achieved_tflops is not None:
            assert gpu.bf16_dense_tflops is not None, gpu.key
            assert 0.5 < gpu.bf16_achieved_tflops / gpu.bf16_dense_tflops <= 1, gpu.key
            assert "achieved:" in gpu.link_source, gpu.key
