"""Invariants of data/contexts.csv: a figure is what the text beside it says."""

from statistics import median

import pytest

from planner.catalog import list_gpus
from planner.catalog.contexts import context_mib, list_contexts
from planner.memory.runtime import CONTEXT_BYTES, context_bytes
from planner.units import MIB

ROWS = list_contexts()


def test_in_use_less_allocated_and_cached_is_the_context() -> None:
    """The texts round to 0.01 GiB: three of them, 5 MiB each."""
    for row in ROWS:
        if row.in_use_gib is not None and row.allocated_gib is not None and row.unallocated_mib is not None:
            left = (row.in_use_gib - row.allocated_gib) * 1024 - row.unallocated_mib
            assert row.context_mib == pytest.approx(left, abs=1), row.card
        else:
            assert row.note, row.card


def test_cards_are_of_the_catalogue_s_compute_capabilities() -> None:
    known = {float(gpu.compute_capability or 0) for gpu in list_gpus() if gpu.vendor == "nvidia"}
    assert {row.compute_capability for row in ROWS} <= known


def test_a_capability_has_the_median_of_its_figures() -> None:
    ampere = [row.context_mib for row in ROWS if row.compute_capability == 8.0]
    assert len(ampere) > 2
    assert context_mib(8.0) == median(ampere)
    assert context_bytes(8.0) == round(median(ampere) * MIB)


def test_where_nothing_was_posted_the_constant_stands() -> None:
    assert context_mib(9.0) is None
    assert context_bytes(9.0) == context_bytes(None) == CONTEXT_BYTES
