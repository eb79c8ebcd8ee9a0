"""More journeys in a real browser: files of every kind read back, addresses that come back, keys alone, a real lab."""

import io
import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from planner.schema import parse_request
from planner.serving.limits import serving_with_limits
from planner.serving.request import parse_serve_request
from planner.units import format_gib
from tests.ui.browsing import SECONDS
from tests.ui.test_browser import wait_until_drawn

pytestmark = pytest.mark.browser

PATIENT = SECONDS * 1000
ROWS = 60


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(timeout=PATIENT)


def download(page: Page, label: str) -> Path:
    """The file that a button gives."""
    with page.expect_download() as file:
        page.get_by_role("button", name=label, exact=True).first.click()
    return Path(file.value.path())


def test_every_file_of_a_table_is_the_table(page: Page, address: str, complaints: list[str]) -> None:
    page.goto(f"{address}sweep?gradient_checkpointing=true")
    expect(page.get_by_role("heading", name=f"of {ROWS} fit")).to_be_visible()
    expect(page.get_by_role("button", name="Parquet", exact=True)).to_be_visible()
    csv = pd.read_csv(download(page, "CSV"))
    sheets = openpyxl.load_workbook(io.BytesIO(download(page, "Excel").read_bytes()))
    document = json.loads(download(page, "JSON").read_text())
    parquet = pd.read_parquet(io.BytesIO(download(page, "Parquet").read_bytes()))
    markdown, html = download(page, "Markdown").read_text(), download(page, "HTML").read_text()
    cells = [[cell.value for cell in row] for row in sheets.worksheets[0].iter_rows()]
    assert len(csv) == len(parquet) == ROWS and list(csv.columns) == list(parquet.columns)
    assert cells[0] == list(csv.columns) and len(cells) == ROWS + 1
    needs = [row[cells[0].index("device_gib")] for row in cells[1:]]
    assert list(csv["device_gib"]) == list(parquet["device_gib"]) == [row["device_gib"] for row in document["rows"]]
    assert needs == pytest.approx(list(csv["device_gib"]))
    assert markdown.count("\n| meta-llama") == ROWS and html.count("<tr") == ROWS + 1
    assert [error for error in complaints if "404" not in error] == []


def test_a_load_is_served_and_comes_back_by_its_address(page: Page, address: str, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Serve").click()
    expect(page.get_by_role("heading", name="Take it with you")).to_be_visible()
    tenants = page.get_by_role("spinbutton", name="Tenants")
    tenants.fill("25")
    tenants.press("Enter")
    expect(page.get_by_text("25 adapters")).not_to_have_count(0)
    expect(page).to_have_url(re.compile(r"tenants=25"))
    lora = {"count": 25, "lora": {"r": 16}}
    found = serving_with_limits(
        parse_serve_request({"model": "meta-llama/Llama-3.1-8B", "gpu": "rtx-4090", "adapters": [lora]})
    )
    need = page.get_by_test_id("stMetricValue").first
    expect(need).to_have_text(format_gib(found.total_bytes))
    page.reload()
    expect(need).to_have_text(format_gib(found.total_bytes))
    expect(page.get_by_role("spinbutton", name="Tenants")).to_have_value("25")
    assert [error for error in complaints if "404" not in error] == []


def test_evidence_is_narrowed_and_comes_back_by_its_address(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.get_by_role("link", name="Evidence").click()
    answered = page.get_by_test_id("stMetricDelta").first
    expect(answered).to_be_visible()
    before = answered.inner_text()
    method = page.get_by_role("combobox", name="Method")
    method.click()
    method.fill("qlora")
    method.press("Enter")
    expect(answered).not_to_have_text(before)
    expect(page).to_have_url(re.compile(r"evidence_method=qlora"))
    narrowed = answered.inner_text()
    page.reload()
    expect(page.get_by_role("heading", name="Our own measured runs")).to_be_visible()
    expect(answered).to_have_text(narrowed)
    assert [error for error in complaints if "404" not in error] == []


def test_a_topic_is_taken_away_as_markdown(page: Page, address: str) -> None:
    page.goto(f"{address}learn?topic=nf4&method=qlora")
    expect(page.get_by_role("button", name="Markdown")).to_be_visible()
    text = download(page, "Markdown").read_text()
    assert text.startswith("# NF4, block constants") and "$$" in text and "{" not in text.replace("{", "", 10_000)


def test_costs_come_back_by_their_address(page: Page, address: str) -> None:
    page.goto(f"{address}cost?num_tokens=100000000&gpu=l40s&gradient_checkpointing=true&trials=7")
    expect(page.get_by_role("heading", name="A search over hyperparameters")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Trials")).to_have_value("7")
    heading = page.get_by_test_id("stMain").get_by_role("heading", level=3).first
    said = heading.inner_text()
    assert " USD" in said
    request = parse_request(json.loads(download(page, "Request as JSON").read_text()))
    assert request.dataset is not None and request.dataset.num_tokens == 10**8
    page.reload()
    expect(heading).to_have_text(said)


def test_low_rank_is_trained_by_hand(page: Page, address: str, complaints: list[str]) -> None:
    pytest.importorskip("torch", reason="the child runs the real libraries")
    page.goto(f"{address}labs?lab=Low+rank+by+hand&lab_steps=20&lab_rank=4")
    page.get_by_role("button", name="Train").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Train")).to_be_disabled()
    expect(page.get_by_text("Loss on the held-out end of the second text", exact=False)).to_be_visible(
        timeout=3 * PATIENT
    )
    expect(page.get_by_text("measured; rank 4", exact=False)).to_be_visible()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    for method in ("full", "lora", "qlora"):
        expect(page.get_by_text(re.compile(rf"^{method}: loss \d\.\d{{3}}$"))).to_be_visible()
    assert [error for error in complaints if "404" not in error] == []


def test_low_rank_is_stopped(page: Page, address: str, complaints: list[str]) -> None:
    pytest.importorskip("torch", reason="the child runs the real libraries")
    page.goto(f"{address}labs?lab=Low+rank+by+hand&lab_steps=300")
    page.get_by_role("button", name="Train").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("stopped", re.I))).to_be_visible()
    expect(page.get_by_role("button", name="Train")).to_be_enabled()
    assert [error for error in complaints if "404" not in error] == []


def tab_to(page: Page, role: str, name: str) -> None:
    """Press Tab until what has the focus is what is meant."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused: dict[str, Any] = page.evaluate(
            "(() => { const e = document.activeElement; return {"
            " role: e.getAttribute('role') || e.tagName.toLowerCase(),"
            " name: e.getAttribute('aria-label') || e.innerText || '' } })()"
        )
        if focused["role"] == role and focused["name"].strip().startswith(name):
            return
    raise AssertionError(f"no Tab leads to the {role} {name!r}")


def test_fit_is_asked_and_changed_by_keys_alone(page: Page, complaints: list[str]) -> None:
    wait_until_drawn(page)
    page.keyboard.press("Control+Home")
    tab_to(page, "combobox", "Model")
    page.keyboard.press("Control+A")
    page.keyboard.type("qwen3-4b")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"^Qwen3-4B, LoRA")).first).to_be_visible()
    tab_to(page, "radio", "full")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_text(re.compile(r"^Qwen3-4B, QLoRA")).first).to_be_visible()
    tab_to(page, "input", "Length in tokens")
    page.keyboard.press("Control+A")
    page.keyboard.type("32768")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 x 32,768 tokens").first).to_be_visible()
    wait_until_drawn(page)
    tab_to(page, "button", page.locator("[class*=st-key-apply_] button").first.inner_text().strip())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Fits", exact=False).first).to_be_visible()
    assert complaints == []
