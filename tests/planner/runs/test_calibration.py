"""Calibration: the constants of a device from its history, and plans that use them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.cli import root
from planner.estimate import estimate
from planner.report_calibration import calibration_report
from planner.runs import calibration
from planner.runs.calibrated import calibrate_plan, choose, on_this_machine
from planner.runs.calibrated_time import with_own_speed
from planner.runs.calibration import CalibrationError
from planner.runs.history import History
from tests.planner.runs.samples import MIB, TINY, record, request

RUNS = [record(f"{n:032x}", peak_mib=peak) for n, peak in enumerate((50, 100, 200, 400))]


def test_a_cpu_is_a_straight_line_over_the_tensors() -> None:
    """The sample's runs: 300 MiB and half as much again; one wild run does not move the medians."""
    wild = record("f" * 32, peak_mib=120, peak_rss_bytes=5000 * MIB)
    (found,) = calibration.fit([*RUNS, wild])
    assert found.fragmentation_share == pytest.approx(0.5, abs=0.02)
    assert found.runtime_bytes == pytest.approx(300 * MIB, rel=0.02)
    assert found.flops_share == {"lora": 0.2}
    assert (found.num_runs, found.device, found.name) == (5, "cpu", "Some CPU")
    assert calibration.fit(RUNS)[0].median_error < 1e-6


def test_an_accelerator_is_measured_part_by_part() -> None:
    def run(number: int, peak: int) -> dict:
        return record(
            f"{number:032x}",
            peak_mib=peak,
            hardware={"device": "cuda:0", "name": "NVIDIA T4", "matmul_flops_per_second": 1e13},
            allocator_peak_bytes=peak * MIB,
            reserved_bytes=peak * MIB * 5 // 4,
            allocator={"reserved_bytes": peak * MIB * 5 // 4},
            device_bytes=peak * MIB * 5 // 4 + 500 * MIB,
        )

    (found,) = calibration.fit([run(1, 100), run(2, 200), run(3, 400)])
    assert (found.device, found.runtime_bytes, found.fragmentation_share) == ("cuda", 500 * MIB, 0.25)
    assert found.median_error < 1e-6
    plan = calibrate_plan(estimate(request(device="cuda", gpu="t4")), found)
    assert choose(request(device="cuda", gpu="t4"), [found]) == found
    assert plan.device_bytes == round(plan.peak_bytes * 1.25) + 500 * MIB
    assert plan.headroom_bytes is not None and plan.usable_bytes == plan.headroom_bytes + plan.needed_bytes
    with pytest.raises(CalibrationError, match="no calibration of l4"):
        choose(request(device="cuda", gpu="l4"), [found])


@pytest.mark.parametrize("runs", [[], RUNS[:2], [record(f"{n:032x}") for n in range(5)]])
def test_too_little_to_fit_is_refused(runs: list) -> None:
    with pytest.raises(CalibrationError, match="profile --suite"):
        calibration.fit(runs)


def test_failed_and_sliced_runs_teach_nothing() -> None:
    worse = [record(f"{n:032x}", status="killed") for n in range(9)]
    assert calibration.fit([*RUNS, *worse, record("e" * 32, slices=[3, 4])])[0].num_runs == len(RUNS)


def test_a_calibrated_plan_says_so_and_adds_up() -> None:
    (found,) = calibration.fit(RUNS)
    plain = estimate(request())
    plan = calibrate_plan(plain, found)
    assert plan.peak_bytes == plain.peak_bytes
    assert plan.device_bytes == found.device_bytes(plan.peak_bytes)
    assert sum(term.bytes for term in plan.terms) == plan.peak_bytes + plan.runtime_bytes
    assert max(row.total_bytes for row in plan.timeline) == plan.peak_bytes + plan.runtime_bytes
    assert all(row.total_bytes == sum(row.live_bytes.values()) for row in plan.timeline)
    assert plan.low_bytes <= plan.device_bytes <= plan.high_bytes
    assert "calibrated on Some CPU" in plan.notes[-1] and "lora 20%" in plan.notes[-1]


def test_the_file_keeps_one_calibration_a_device(data_folder: Path) -> None:
    with pytest.raises(CalibrationError, match="none yet"):
        on_this_machine(request(), estimate(request()))
    (found,) = calibration.fit(RUNS)
    other = found.model_copy(update={"name": "Other CPU"})
    calibration.write([found, other])
    newer = found.model_copy(update={"num_runs": 9})
    path = calibration.write([newer])
    assert path.parent == data_folder
    assert calibration.load() == [other, newer]
    assert on_this_machine(request(), estimate(request())).runtime_bytes == found.runtime_bytes
    path.write_text("[{}]")
    with pytest.raises(CalibrationError, match="is no calibration"):
        calibration.load()


def test_a_person_reads_the_constants() -> None:
    table = calibration_report(calibration.fit(RUNS))[0]
    assert table.rows == (("Some CPU (cpu)", "4", "0.29 GiB", "50.0%", "lora 20.0%", "0.0%"),)


def test_on_the_command_line_it_is_kept_and_used_only_when_asked(tmp_path: Path) -> None:
    def tunebudget(*args: str) -> Any:
        return CliRunner().invoke(root.tunebudget, list(args))

    (tmp_path / "config.json").write_text(json.dumps(TINY))
    plan = ("plan", str(tmp_path), "--method", "lora", "--device", "cpu", "--json")
    History().add(*RUNS)
    assert "not written" in tunebudget("calibrate").stderr
    assert "none yet" in tunebudget(*plan, "--calibrated").stderr
    assert json.loads(tunebudget("calibrate", "--write", "--json").stdout)["calibrations"][0]["num_runs"] == len(RUNS)
    plain, calibrated = (json.loads(tunebudget(*plan, *more).stdout) for more in ((), ("--calibrated",)))
    assert plain["runtime_bytes"] == 0 and calibrated["runtime_bytes"] == pytest.approx(300 * MIB, rel=0.02)
    assert "calibrated on Some CPU" in calibrated["notes"][-1]
    assert tunebudget("plan", "--batch", "x", "--calibrated").exit_code == 2


def test_a_step_is_timed_by_the_share_that_own_runs_reached() -> None:
    (found,) = calibration.fit(RUNS)
    asked = request(per_device_train_batch_size=3, gradient_accumulation_steps=2)
    plain = estimate(asked)
    plan = with_own_speed(asked, plain, found)
    assert plain.step_seconds is None and plain.flops_per_step is not None
    rate = 0.2 * found.matmul_flops_per_second[asked.dtype]
    assert plan.step_seconds == pytest.approx(plain.flops_per_step / rate)
    assert plan.tokens_per_second == pytest.approx(6 * asked.max_length / plan.step_seconds)
    assert sum(part.seconds for part in plan.step_parts) == pytest.approx(plan.step_seconds)
    unknown = found.model_copy(update={"flops_share": {}})
    assert with_own_speed(asked, plain, unknown) == plain


def test_on_a_card_band_utilization_and_hours_follow_the_measured_speed() -> None:
    (found,) = calibration.fit(RUNS)
    asked = request(device="cuda", gpu="t4", dataset={"num_tokens": 10**9})
    plain, plan = estimate(asked), with_own_speed(asked, estimate(asked), found)
    assert plan.step_seconds and plain.step_seconds and plan.mfu and plain.mfu and plan.train_hours
    ratio = plan.step_seconds / plain.step_seconds
    assert plan.step_seconds_low == pytest.approx((plain.step_seconds_low or 0) * ratio)
    assert plan.mfu == pytest.approx(plain.mfu / ratio)
    assert plan.train_hours == pytest.approx(10**9 / (plan.tokens_per_second or 0) / 3600)
