"""How far a run is, in words."""

from planner.child import Progress
from ui import profile_text


def test_a_run_that_has_not_spoken_says_how_long_it_has_been_starting() -> None:
    assert profile_text.progress_line(None, 5.9) == (0.0, "starting the child process; 0:05 elapsed")


def test_progress_says_the_step_the_peak_and_the_time() -> None:
    share, words = profile_text.progress_line(Progress(2, 8, "step 2 of 8", 3 * 2**30), 61.0)
    assert (share, words) == (0.25, "step 2 of 8; peak so far 3.000 GiB of tensors; 1:01 elapsed")
