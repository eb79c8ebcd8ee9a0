"""The runs behind the bands: which figures count, and how many moved since."""

from planner.evidence.band_runs import band_runs, beyond_requests, moved
from tests.planner.evidence.rows import row


def test_figures_with_a_whole_configuration_and_an_answer_count() -> None:
    found = [
        row("counts", 110),
        row("partly stated", 110, full=False),
        row("refused", None, refusal="no"),
        row("ran out", 110, ran_out=True),
    ]
    (run,) = band_runs(found)
    assert (run.id, run.device, run.devices, run.level) == ("counts", "cuda", "one", "tensors")
    assert run.log_ratio == -0.0953102


def test_the_version_of_a_stack_is_no_kind_of_its_own() -> None:
    (run,) = band_runs([row("a", 110, asked_stack="trl@0.11.4", num_gpus=4)])
    assert (run.stack, run.devices) == ("trl", "several")


def test_runs_asked_without_their_stack_are_a_kind_of_their_own() -> None:
    named, unnamed = band_runs([row("a", 110)], [row("a", 120, asked_stack=None)])
    assert (named.stack, unnamed.stack) == ("litgpt", "unnamed")
    assert list(band_runs([row("no stack of ours", 110, asked_stack=None)])) == []


def test_published_tensor_bytes_stand_for_cpu_answers_that_are_not_exact() -> None:
    found = [row("modelled", 110, certainty="modelled"), row("exact", 110), row("own", 100, device="cpu", origin="own")]
    assert [(run.id, run.device) for run in band_runs(found)] == [
        ("modelled", "cuda"),
        ("exact", "cuda"),
        ("own", "cpu"),
        ("modelled", "cpu"),
    ]


def test_what_moved_came_or_went_is_counted() -> None:
    kept = list(band_runs([row("same", 1000, 1000), row("moved", 1000, 1000), row("gone", 1000, 1000)]))
    now = list(band_runs([row("same", 1001, 1000), row("moved", 1010, 1000), row("came", 1000, 1000)]))
    assert moved(kept, now) == 3
    assert moved(kept, kept) == 0


def test_what_no_request_says_is_in_no_band_of_a_named_stack() -> None:
    beyond = next(iter(sorted(beyond_requests())))
    assert list(band_runs([row(beyond, 110)])) == []
    (unnamed,) = band_runs([], [row(beyond, 110, asked_stack=None)])
    assert unnamed.id == beyond
