"""Drills and laboratories in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(page: Page, complaints: list[str]) -> Page:
    """The first page, with its navigation drawn: other pages are gone to as a visitor does."""
    expect(page.get_by_role("link", name="Labs")).to_be_visible()
    return page


def test_a_drill_is_answered_marked_and_followed_by_the_next(open_page: Page, complaints: list[str]) -> None:
    page = open_page
    page.get_by_role("link", name="Drills").click()
    expect(page.get_by_role("heading", name="Question 1")).to_be_visible()
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("Skipped.")).to_be_visible()
    expect(page.get_by_role("heading", name="Score")).to_be_visible()
    page.get_by_role("button", name="Next question").click()
    expect(page.get_by_role("heading", name="Question 2")).to_be_visible()
    assert complaints == []


def test_nf4_levels_and_the_peak_follow_their_inputs(open_page: Page, complaints: list[str]) -> None:
    page = open_page
    page.get_by_role("link", name="Labs").click()
    expect(page.get_by_role("heading", name="NF4 by hand")).to_be_visible()
    expect(page.get_by_text("bits a weight").first).to_be_visible()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    page.get_by_text("Where the peak falls", exact=True).click()
    expect(page).to_have_url(re.compile(r"lab=Where"))
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    assert complaints == []
