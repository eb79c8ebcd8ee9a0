"""``doctor`` on devices: what torch finds, what is missing and how to get it; and without torch."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from planner.child import ChildError
from planner.cli import doctor_devices
from planner.cli.root import tunebudget

CPU = {
    "device": "cpu", "platform": "cpu", "name": "Some CPU", "total_bytes": 2**34, "free_bytes": 2**33,
    "compute_capability": None, "driver": None, "libraries": {"torch": "2.13.0"},
}  # fmt: skip
CARD = CPU | {"device": "cuda:0", "platform": "cuda", "name": "NVIDIA T4", "compute_capability": "7.5", "driver": "580"}


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(doctor_devices, "is_installed", lambda name: name in names)
    monkeypatch.setattr(doctor_devices, "missing_packages", lambda: [n for n in ("torch", "peft") if n not in names])


def doctor(*flags: str) -> Any:
    result = CliRunner().invoke(tunebudget, ["doctor", *flags])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout) if flags else result.stdout


def test_devices_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "torch", "psutil", "peft", "pynvml")
    monkeypatch.setattr(doctor_devices, "run_child", lambda task, **_: {"devices": [CARD, CPU]})
    assert doctor("--json")["devices"] == [CARD, CPU]
    text = doctor()
    assert "cuda:0" in text and "NVIDIA T4" in text and "7.5" in text
    assert "Nothing is missing" in text


def test_without_torch_nothing_is_started_and_the_way_to_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.setattr(doctor_devices, "run_child", lambda *_, **__: pytest.fail("a child was started"))
    found = doctor("--json")
    assert found["devices"] == []
    assert found["missing"][0]["what"].startswith("torch, peft") and "torch==2.13.0" in found["missing"][0]["how"]
    assert "how to get it" in doctor()


def test_a_torch_that_cannot_be_asked_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ChildError("the child process ended by signal 11: it printed nothing")

    installed(monkeypatch, "torch", "psutil", "peft")
    monkeypatch.setattr(doctor_devices, "run_child", fail)
    assert "could not be asked: the child process ended by signal 11" in doctor("--json")["missing"][0]["what"]


def test_a_card_that_torch_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "torch", "psutil", "peft")
    lacking = doctor_devices.missing([CPU], [{"name": "NVIDIA T4"}], None)
    assert "cannot use it" in lacking[0]["what"] and "pytorch.org" in lacking[0]["how"]
    assert lacking[1]["how"] == "pip install nvidia-ml-py"
    assert doctor_devices.missing([CPU], [], None) == []
