"""The dataset's size, counted in either way."""

import pytest

from planner.dataset import DatasetSettings


def test_tokens_are_counted_or_multiplied() -> None:
    assert DatasetSettings(num_tokens=2_000_000, num_train_epochs=1.5).trained_tokens == pytest.approx(3_000_000)
    counted = DatasetSettings(num_examples=52_002, mean_length=265.5, num_train_epochs=3)
    assert counted.epoch_tokens == pytest.approx(52_002 * 265.5)
    assert counted.trained_tokens == pytest.approx(3 * 52_002 * 265.5)
