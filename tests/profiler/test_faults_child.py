"""Faults of the child: killed at each phase, out of memory, out of time, stopped, broken; each a record of one line."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from planner import child
from planner.child import ChildError, Progress
from planner.cli.stop import stop_button
from planner.errors import PlannerError, RequestError
from planner.runs.history import History
from planner.runs.keep import keep
from planner.runs.machine import Watch
from planner.runs.start import Listener, Options, profile_here
from tests.planner.runs.samples import HOST, MIB, record, request
from tests.stand_in import use_script

#: What the real child says before each part of a run (profiler/profile.py).
PARTS = (
    "importing torch, transformers, peft and bitsandbytes",
    "building the model",
    "step 1 of 2, every storage followed",
    "warm-up step 1 of 1",
    "step 2 of 3",
    "one step under the allocator's own count",
    "counting floating point operations",
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    return use_script(monkeypatch, tmp_path)


def ended(status: str, listener: Listener | None = None, options: Options | None = None) -> str:
    """Run, keep, and check that there is one clear line and that an earlier run is still there."""
    history = History()
    history.add(record())
    found = profile_here(request(), options or Options(), listener or Listener(), HOST)
    assert found["status"] == status
    assert keep(found, history) == []
    assert [row.status for row in history.rows()] == [status, "done"]
    assert history.find("a" * 32) == record()
    error = str(found["error"])
    assert error and "\n" not in error
    return error


@pytest.mark.parametrize("part", PARTS)
def test_killed_at_each_phase(script: Callable[[str], None], part: str) -> None:
    script(f"progress({part!r})\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "killed (signal 9)" in ended("killed")
    assert History().find("last")["reached"]["what"] == part


def test_out_of_memory_says_so(script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'out of memory', 'message': 'out of memory: tried 9 GiB', 'field': None}})")
    assert ended("out of memory") == "out of memory: tried 9 GiB"


def test_more_memory_than_allowed_ends_it(script: Callable[[str], None]) -> None:
    script("keep = bytearray(os.urandom(1024)) * (300 * 1024)\ntime.sleep(60)")
    options = Options(memory_limit_bytes=200 * MIB, force=False)
    history = History()
    history.add(record())
    found = profile_here(request(), options, Listener(), HOST, ask_plan=False)
    assert found["status"] == "memory limit"
    assert "the limit is 0.20 GiB" in found["error"]
    assert found["highest_rss_bytes"] > 200 * MIB
    assert history.rows()[0].status == "done"


def test_the_time_limit_ends_it(script: Callable[[str], None]) -> None:
    script("time.sleep(60)")
    assert "time limit of 1 seconds" in ended("time limit", options=Options(time_limit_seconds=1))


def test_stop_ends_it_with_a_record(script: Callable[[str], None]) -> None:
    script("progress('step 1 of 3')\ntime.sleep(60)")
    pressed: list[Progress] = []
    assert "stopped on request" in ended("stopped", Listener(pressed.append, lambda: bool(pressed)))


def test_stop_pressed_twice_keeps_the_record_once(script: Callable[[str], None]) -> None:
    """The child does not even listen to SIGTERM: the second press comes while the parent waits for it."""
    script("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprogress('step 1 of 3')\ntime.sleep(60)")

    def press_twice(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        with stop_button() as stopped:
            assert "stopped on request" in ended("stopped", Listener(press_twice, stopped))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_broken_library_is_named(script: Callable[[str], None]) -> None:
    script("raise ImportError('libbitsandbytes_cpu.so: undefined symbol')")
    assert "undefined symbol" in ended("died")


def test_a_segmentation_fault_in_a_kernel(script: Callable[[str], None]) -> None:
    script("progress('step 1 of 3')\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert "signal 11" in ended("died")


def test_a_child_that_ends_without_an_answer(script: Callable[[str], None]) -> None:
    script("print('all is well')")
    assert "ended with code 0" in ended("died")


def test_a_full_disk_in_the_child(script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'disk full', 'message': 'the disk is full: OSError', 'field': None}})")
    assert "the disk is full" in ended("disk full")


def test_a_child_that_prints_rubbish_first_still_answers(script: Callable[[str], None]) -> None:
    script("print('{broken'); print('[1]'); print(7)\nsay({'answer': {'peak_bytes': 3}})")
    found = profile_here(request(), Options(), Listener(), HOST)
    assert (found["status"], found["peak_bytes"]) == ("done", 3)


def test_a_missing_package_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "is_installed", lambda name: name != "bitsandbytes")
    with pytest.raises(ChildError, match=r"profile needs .*not installed: bitsandbytes.*pip install"):
        child.check_packages("profile")


def test_cuda_that_is_not_there_is_refused(script: Callable[[str], None]) -> None:
    script("")
    wanted = request(device="cuda")
    with pytest.raises(RequestError, match=r"device 'cuda': not found here \(found: cpu\).*doctor"):
        profile_here(wanted, Options(), Listener())


@pytest.mark.parametrize("absurd", [{"per_device_train_batch_size": 2**20, "max_length": 2**20}, {"max_length": 2**26}])
def test_an_absurd_request_is_refused_before_a_child_starts(
    monkeypatch: pytest.MonkeyPatch, absurd: dict[str, int]
) -> None:
    monkeypatch.setattr("planner.runs.start.run_child", lambda *_: pytest.fail("a child was started"))
    with pytest.raises(PlannerError, match=r"needs about .* GiB \(estimated\).*--force"):
        profile_here(request(**absurd), Options(), Listener(), HOST)


def test_the_override_starts_it_all_the_same(script: Callable[[str], None]) -> None:
    script("say({'answer': {'peak_bytes': 3, 'settings': task['settings']}})")
    small = {**HOST, "free_bytes": MIB}
    found = profile_here(request(), Options(force=True), Listener(), small)
    assert found["status"] == "done" and found["settings"]["slices"] is False


@pytest.mark.torch
def test_the_real_child_killed_while_it_imports() -> None:
    pytest.importorskip("torch", reason="runs the real child")

    class Killer(Watch):
        def __call__(self, pid: int) -> str | None:
            if self.started and not self.killed:
                os.kill(pid, signal.SIGKILL)
                self.killed = True
            return None

        started = killed = False

    killer = Killer(0)

    def told(progress: Progress) -> None:
        killer.started = progress.what.startswith("importing")

    with pytest.raises(ChildError) as death:
        task = {"level": "profile", "name": "tiny", "request": request().model_dump(mode="json", exclude_unset=True)}
        child.run_child(task, told, watch=killer)
    assert death.value.kind == "killed"


def test_beside_an_accelerator_the_hosts_memory_is_watched(
    script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    script("keep = bytearray(os.urandom(1024)) * (300 * 1024)\ntime.sleep(60)")
    monkeypatch.setattr("planner.runs.start.available_bytes", lambda: 200 * MIB)
    card = {**HOST, "device": "cuda:0", "platform": "cuda", "name": "Some card"}
    found = profile_here(request(device="cuda"), Options(), Listener(), card)
    assert found["status"] == "memory limit" and "the limit is 0.20 GiB" in found["error"]
