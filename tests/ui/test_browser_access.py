"""axe-core on every page of the app, light and dark: no serious violation that is ours."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browsing import ROOT, SECONDS

pytestmark = pytest.mark.browser

PAGES = sorted(path.stem for path in (ROOT / "ui" / "pages").glob("*.py"))
#: In the dark too: pages with every kind of widget and picture.
DARK = ("catalogue", "compare", "fit")
#: What Streamlit 1.67 itself draws so, and a theme cannot change: white text on the chosen values of a multiselect, the
#: colours of highlighted code, formulas that scroll.
THEIRS = ('<span title="', 'class="token', 'class="katex')


@pytest.mark.parametrize(("name", "scheme"), [*((name, "light") for name in PAGES), *((name, "dark") for name in DARK)])
def test_no_serious_violation_is_ours(tab: Page, address: str, name: str, scheme: Literal["light", "dark"]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.emulate_media(color_scheme=scheme)
    tab.goto(address if name == "fit" else f"{address}{name}")
    expect(tab.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible(timeout=SECONDS * 1000)
    expect(tab.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=SECONDS * 1000)
    expect(tab.get_by_test_id("stSkeleton")).to_have_count(0, timeout=SECONDS * 1000)
    violations: list[dict[str, Any]] = axe.run(tab).response["violations"]
    assert [line for found in violations for line in ours(found)] == []


def ours(found: dict[str, Any]) -> list[str]:
    """The elements of a serious violation, those left out that are Streamlit's."""
    if found["impact"] not in ("serious", "critical"):
        return []
    return [
        f"{found['id']}: {node['html'][:200]}"
        for node in found["nodes"]
        if not any(mark in node["html"] for mark in THEIRS)
    ]
