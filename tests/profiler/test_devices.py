"""Devices, with stand-ins for torch.accelerator where there is no accelerator."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

import torch

from planner.errors import RequestError
from profiler import allocator
from profiler.child import kind_of
from profiler.devices import find, host
from profiler.devices.device import Device
from profiler.measured import Measured
from profiler.profile import _checked

pytestmark = pytest.mark.torch
CARD = Device("cuda:0", "cuda", "Some card", 24 * 2**30, 20 * 2**30)
CPU = Device("cpu", "cpu", "CPU", 2**34, 2**33)


@pytest.fixture
def one_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch as it answers on a machine with one NVIDIA card."""
    properties = SimpleNamespace(name="NVIDIA X", major=9, minor=0, uuid="0-1")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda _: (3 * 2**30, 8 * 2**30))
    monkeypatch.setattr(
        torch, "get_device_module", lambda _: SimpleNamespace(get_device_properties=lambda _: properties)
    )
    monkeypatch.setattr(find, "driver_version", lambda: "580.1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def test_the_cpu_is_always_there() -> None:
    last = find.find_devices()[-1]
    total, free = host.host_memory()
    assert (last.device, last.platform, last.total_bytes) == ("cpu", "cpu", total)
    assert 0 < free <= total and last.name
    assert find.pick_device("cpu").kind == "cpu"


def test_a_card_comes_first_with_its_facts(one_card: None) -> None:
    card = find.pick_device(None)
    assert card == find.pick_device("cuda") == find.pick_device("cuda:0")
    assert (card.device, card.platform, card.name) == ("cuda:0", "cuda", "NVIDIA X")
    assert (card.free_bytes, card.total_bytes) == (3 * 2**30, 8 * 2**30)
    assert (card.compute_capability, card.driver, card.libraries["cuda"]) == ("9.0", "580.1", "13.0")


def test_a_device_that_is_not_there_is_refused_with_a_reason() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(RequestError, match=r"device 'cuda': not found here; found: .*cpu"):
        find.pick_device("cuda")


def test_a_container_has_less_than_its_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text(str(2**27))
    used.write_text(str(2**26))
    monkeypatch.setattr(host, "_CGROUP_V2", (limit, used))
    assert host.host_memory() == (2**27, 2**26)
    limit.write_text("max")
    assert host.host_memory()[0] > 2**27


def statistics(**changes: int) -> dict[str, int]:
    return {
        "allocated_bytes.all.peak": 700,
        "allocated_bytes.all.current": 300,
        "reserved_bytes.all.peak": 900,
        "reserved_bytes.all.current": 800,
        "num_alloc_retries": 0,
        "num_ooms": 0,
    } | changes


def test_the_allocators_figures_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.accelerator, "memory_stats", lambda _: statistics(num_alloc_retries=5))
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", calls.append)
    monkeypatch.setattr(torch.accelerator, "reset_accumulated_memory_stats", calls.append)
    allocator.reset_peaks(CARD)
    before = allocator.read_stats(CARD)
    after = allocator.read_stats(CARD, before)
    assert calls == ["cuda:0", "cuda:0"]
    assert before is not None and before.num_alloc_retries == 5 and not before.trustworthy
    assert after is not None and after.num_alloc_retries == 0 and after.trustworthy
    assert (after.peak_allocated_bytes, after.peak_reserved_bytes, after.reserved_bytes) == (700, 900, 800)


def test_a_device_without_such_an_allocator_has_none() -> None:
    assert allocator.read_stats(CPU) is None
    assert allocator.read_stats(replace(CPU, device="mps", platform="mps")) is None
    allocator.reset_peaks(CPU)


def test_a_peak_with_retries_is_not_called_one() -> None:
    measured = Measured(1, 2, 1, 1, 1, "loaded", (), ())
    stats = allocator.AllocatorStats(700, 900, 300, 800, 3, 1)
    assert "retry 3 times (1 failures)" in _checked(measured, stats).notes[-1]
    assert _checked(measured, replace(stats, num_alloc_retries=0, num_ooms=0)) == measured


def test_a_limit_is_a_share_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, str]] = []
    module = SimpleNamespace(set_per_process_memory_fraction=lambda share, device: asked.append((share, device)))
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    allocator.limit_memory(CARD, 6 * 2**30)
    allocator.limit_memory(CARD, None)
    allocator.limit_memory(CPU, 2**30)
    assert asked == [(0.25, "cuda:0")]


def test_a_real_failure_to_allocate_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(2**50)
    assert kind_of(failure.value) == "out of memory"
    assert kind_of(torch.OutOfMemoryError("CUDA out of memory")) == "out of memory"
    assert kind_of(MemoryError()) == "out of memory"
    assert kind_of(OSError(28, "No space left on device")) == "disk full"
    assert kind_of(ImportError("undefined symbol")) == "library"
