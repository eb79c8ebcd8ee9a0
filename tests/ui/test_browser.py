"""The main journey in a real browser: the system's Chromium against `streamlit run app.py` on 127.0.0.1."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from planner.estimate import estimate
from planner.schema import parse_request
from tests.ui.browsing import SECONDS, becomes_a_phone, wait_until_settled
from ui import state

pytestmark = pytest.mark.browser


def answer(page: Page) -> str:
    """The sentence of the answer that stands on the page."""
    return page.get_by_text("an estimated").first.inner_text()


#: What the first question gets, wherever the fitted band ends today.
NO_FIT = re.compile("Tight|Does not fit")


def wait_until_drawn(page: Page) -> None:
    """Wait for the end of the page: all of it is there."""
    expect(page.get_by_role("button", name="Answer as JSON")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=SECONDS * 1000)


def test_main_journey(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    expect(page.get_by_role("heading", name=NO_FIT)).to_be_visible()
    page.get_by_text("qlora", exact=True).click()
    expect(page.get_by_text("Llama-3.1-8B, QLoRA")).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]method=qlora"))
    expect(page.get_by_role("heading", name="Fits", exact=False).first).to_be_visible()
    wait_until_drawn(page)

    before = answer(page)
    page.reload()
    wait_until_drawn(page)
    assert answer(page) == before
    assert complaints == []


def test_a_suggestion_is_applied_and_kept_in_the_link(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("button", name="Gradient checkpointing", exact=True).click()
    expect(page.get_by_text("With gradient_checkpointing on.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"gradient_checkpointing=true"))
    wait_until_drawn(page)
    before = answer(page)
    page.reload()
    wait_until_drawn(page)
    assert answer(page) == before
    assert complaints == []


def test_downloads_hold_question_and_answer(page: Page) -> None:
    wait_until_drawn(page)
    with page.expect_download() as request_file:
        page.get_by_role("button", name="Request as JSON").click()
    with page.expect_download() as answer_file:
        page.get_by_role("button", name="Answer as JSON").click()
    request = parse_request(json.loads(request_file.value.path().read_text()))
    plan = json.loads(answer_file.value.path().read_text())
    assert request == parse_request(state.request_from_values({}).model_dump(exclude_unset=True))
    assert plan == json.loads(estimate(request).model_dump_json())


def test_a_typed_model_is_looked_up_or_refused_in_one_line(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    for typed, shown in (
        ("qwen3-4b-typo", "neither in the catalogue"),
        ("llama-3.3-70b", "Llama-3.3-70B-Instruct, LoRA"),
    ):
        model = page.get_by_role("combobox", name="Model")
        model.click()
        model.fill(typed)
        model.press("Enter")
        expect(page.get_by_text(shown).first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert complaints == []


def test_a_row_of_the_ledger_opens_its_derivation(page: Page) -> None:
    wait_until_drawn(page)
    ledger = page.get_by_test_id("stDataFrame").last
    ledger.scroll_into_view_if_needed()
    ledger.click(position={"x": 20, "y": 55})
    expect(page.get_by_text("Source:").first).to_be_visible()
    expect(page.get_by_text("linear weights (bfloat16) = 2 x elements")).to_be_visible()


def test_a_phone_shows_it_all_without_scrolling_sideways(page: Page) -> None:
    assert becomes_a_phone(page)
    page.reload()
    wait_until_drawn(page)
    assert becomes_a_phone(page)


def test_the_evidence_is_one_click_away_and_fits_a_phone(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Evidence").click()
    expect(page.get_by_role("heading", name="How right is it?")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_role("heading", name="Our own measured runs")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=SECONDS * 1000)
    assert becomes_a_phone(page)
    assert complaints == []


def test_the_cost_is_one_click_away_and_fits_a_phone(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Cost", exact=True).click()
    page.get_by_role("button", name="100 million tokens").click()
    expect(page.get_by_text("Training takes")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_text("price of 2026-").first).to_be_visible(timeout=SECONDS * 1000)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=SECONDS * 1000)
    page.wait_for_url("**num_tokens=100000000**")
    assert becomes_a_phone(page)
    assert complaints == []


def test_serving_is_one_click_away_and_fits_a_phone(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Serve").click()
    expect(page.get_by_role("heading", name="How many can it serve?")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_role("heading", name="Take it with you")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=SECONDS * 1000)
    assert becomes_a_phone(page)
    assert complaints == []


def test_a_topic_is_learnt_for_the_question_at_hand_on_a_phone_too(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_text("qlora", exact=True).click()
    expect(page).to_have_url(re.compile(r"[?&]method=qlora"))
    page.get_by_role("link", name="Learn").click()
    expect(page.get_by_role("heading", name="Where memory goes")).to_be_visible(timeout=SECONDS * 1000)
    topic = page.get_by_role("combobox", name="Topic")
    topic.click()
    topic.fill("nf4")
    topic.press("Enter")
    expect(page.get_by_role("heading", name="NF4, block constants")).to_be_visible(timeout=SECONDS * 1000)
    expect(page).to_have_url(re.compile(r"[?&]topic=nf4"))
    expect(page.locator(".katex-display").first).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_role("button", name="Markdown")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_text("your question was about")).to_have_count(0)
    assert becomes_a_phone(page)
    assert complaints == []


def test_a_real_run_is_started_watched_and_stopped(page: Page, complaints: list[str]) -> None:
    pytest.importorskip("torch", reason="the child runs the real libraries")
    wait_until_drawn(page)
    page.get_by_text("qlora", exact=True).click()
    expect(page.get_by_text("Llama-3.1-8B, QLoRA")).to_be_visible(timeout=SECONDS * 1000)
    page.get_by_role("link", name="Profile").click()
    expect(page.get_by_text("Llama-3.1-8B, QLoRA, 1 x 1,024 tokens, measured on what is found here.")).to_be_visible(
        timeout=SECONDS * 1000
    )
    expect(page.get_by_text("No runs yet.", exact=False)).to_be_visible(timeout=SECONDS * 1000)
    page.get_by_role("spinbutton", name="Layers").fill("1")
    page.get_by_role("spinbutton", name="Layers").press("Enter")
    wait_until_settled(page)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("importing torch, transformers, peft and bitsandbytes")).to_be_visible(
        timeout=SECONDS * 1000
    )
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped on request", exact=False).first).to_be_visible(timeout=SECONDS * 1000)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled(timeout=SECONDS * 1000)
    expect(page.get_by_text("No runs yet.", exact=False)).to_have_count(0, timeout=SECONDS * 1000)
    assert complaints == []


def test_a_table_is_made_and_taken_away(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Sweep").click()
    expect(page.get_by_role("heading", name="of 60 fit")).to_be_visible(timeout=SECONDS * 1000)
    expect(page.locator(".js-plotly-plot .main-svg").nth(1)).to_be_visible(timeout=SECONDS * 1000)
    with page.expect_download() as file:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = file.value.path().read_text().splitlines()
    assert len(lines) == 61 and lines[0].startswith("model,method,gpu,num_gpus")
    assert becomes_a_phone(page)
    assert complaints == []
