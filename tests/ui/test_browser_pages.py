"""Compare, Catalogue and saved questions in a real browser: journeys, addresses, files, uploads, a phone's width."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from planner.estimate import estimate
from planner.schema import parse_request
from tests.ui.browsing import SECONDS, becomes_a_phone, wait_until_settled

pytestmark = pytest.mark.browser

PATIENT = SECONDS * 1000
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 256,
}


def wait_until_drawn(page: Page) -> None:
    expect(page.get_by_role("button", name="Answer as JSON")).to_be_visible(timeout=PATIENT)


def go(page: Page, name: str, heading: str) -> None:
    """From the page at hand to another by the sidebar's link."""
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=PATIENT)


def test_a_comparison_is_made_taken_away_and_opened(page: Page, address: str, complaints: list[str]) -> None:
    page.goto(f"{address}?max_length=2048")
    wait_until_drawn(page)
    go(page, "Compare", "Side by side")
    page.get_by_role("radio", name="GPUs").click()
    expect(page.get_by_text("is the smallest card").first).to_be_visible(timeout=PATIENT)
    expect(page.get_by_role("button", name="Table as CSV")).to_be_visible(timeout=PATIENT)
    said = page.get_by_text("is the smallest card").first.inner_text()
    expect(page).to_have_url(re.compile(r"max_length=2048"))
    expect(page).to_have_url(re.compile(r"by=GPUs"))

    with page.expect_download() as table:
        page.get_by_role("button", name="Table as CSV").click()
    with page.expect_download() as answers:
        page.get_by_role("button", name="Answers as JSON").click()
    frame = pd.read_csv(io.StringIO(table.value.path().read_text()))
    plans = json.loads(answers.value.path().read_text())
    assert list(frame["question"]) == list(plans)
    request = {"model": "meta-llama/Llama-3.1-8B", "method": "lora", "gpu": "l40s", "max_length": 2048}
    assert plans["l40s"] == json.loads(estimate(parse_request(request)).model_dump_json())
    assert complaints == []

    page.reload()
    expect(page.get_by_text("is the smallest card").first).to_have_text(said, timeout=PATIENT)
    page.get_by_role("button", name="l40s").last.click()
    expect(page.get_by_text("1 x 2,048 tokens, on one L40S")).to_be_visible(timeout=PATIENT)


def test_a_saved_question_comes_back(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_test_id("stSidebarUserContent").get_by_text("Saved questions").click()
    page.get_by_role("textbox", name="Name of this question").fill("the first one")
    page.get_by_role("textbox", name="Name of this question").press("Enter")
    wait_until_settled(page)
    page.get_by_role("button", name="Save", exact=True).click()
    saved = page.get_by_role("button", name="the first one", exact=True)
    expect(saved).to_be_visible(timeout=PATIENT)
    page.get_by_text("qlora", exact=True).click()
    expect(page.get_by_text("Llama-3.1-8B, QLoRA")).to_be_visible(timeout=PATIENT)
    saved.click()
    expect(page.get_by_text("Llama-3.1-8B, LoRA")).to_be_visible(timeout=PATIENT)
    assert complaints == []


def test_a_part_of_the_bar_opens_its_derivation(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    bar = page.locator(".js-plotly-plot").first
    expect(bar.locator(".main-svg").first).to_be_visible(timeout=PATIENT)
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.4)
    expect(page.get_by_text("linear weights (bfloat16) = 2 x elements")).to_be_visible(timeout=PATIENT)
    assert complaints == []


def test_the_catalogue_is_searched_and_its_choice_asked_about(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    go(page, "Catalogue", "Catalogue")
    page.get_by_role("radio", name="GPUs").click()
    search = page.get_by_role("textbox", name="Search GPUs")
    search.fill("L40S")
    search.press("Enter")
    expect(page.get_by_text("1 of ", exact=False).first).to_be_visible(timeout=PATIENT)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 20, "y": 55})
    page.get_by_role("button", name="Ask about this card").click()
    expect(page.get_by_text("1 x 1,024 tokens, on one L40S")).to_be_visible(timeout=PATIENT)
    expect(page).to_have_url(re.compile(r"gpu=l40s"), timeout=PATIENT)
    assert complaints == []


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Add the model").click()


def test_configs_are_uploaded_good_broken_and_hostile(page: Page, tmp_path: Path, complaints: list[str]) -> None:
    wait_until_drawn(page)
    go(page, "Catalogue", "Catalogue")
    page.get_by_role("radio", name="your own").click()
    expect(page.get_by_role("button", name="Add the model")).to_be_visible(timeout=PATIENT)
    files = {
        "broken.json": ("{", "not valid JSON"),
        "hostile.json": ("[" * 100_000, "nested too deeply"),
        "huge.json": (json.dumps({**LLAMA, "num_hidden_layers": 10**12}), "num_hidden_layers"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_text(content)
        upload(page, tmp_path / name)
        expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible(timeout=PATIENT)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    upload(page, tmp_path / "config.json")
    page.get_by_role("button", name="Ask about this model").click()
    expect(page.get_by_text("llama, LoRA, 1 x 1,024 tokens")).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("does not travel in this page's address")).to_be_visible(timeout=PATIENT)
    with page.expect_download() as file:
        page.get_by_role("button", name="Request as JSON").click()
    request = json.loads(file.value.path().read_text())
    assert {**LLAMA, **request["model"]} == request["model"]
    assert estimate(parse_request(request)).model == "own/llama"
    assert complaints == []


def test_a_file_over_the_limit_is_not_taken(page: Page, tmp_path: Path) -> None:
    wait_until_drawn(page)
    go(page, "Catalogue", "Catalogue")
    page.get_by_role("radio", name="your own").click()
    (tmp_path / "large.json").write_text(" " * (2 * 2**20))
    page.locator("input[type=file]").set_input_files(tmp_path / "large.json")
    expect(page.get_by_text("must be 1.0MB or smaller", exact=False)).to_be_visible(timeout=PATIENT)


@pytest.mark.parametrize(("name", "heading"), [("Compare", "Side by side"), ("Catalogue", "Catalogue")])
def test_a_phone_shows_these_pages_too(page: Page, name: str, heading: str) -> None:
    wait_until_drawn(page)
    go(page, name, heading)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=PATIENT)
    assert becomes_a_phone(page)
    page.set_viewport_size({"width": 1280, "height": 2400})
