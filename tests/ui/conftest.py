"""A plan made by hand, so that pictures and tables are tested without the planner; and the page in AppTest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plotly.io import to_json
from streamlit.testing.v1 import AppTest

from planner.answer import PHASES, PhaseBytes, Plan, Term
from planner.units import GIB
from tests.ui.browsing import address, browser, complaints, page, tab, window
from ui.picture import Picture, Spec

__all__ = ["address", "browser", "complaints", "page", "tab", "window"]

ROOT = Path(__file__).resolve().parents[2]

#: GiB live by phase: weights, optimizer, activations, logits.
_STEP = [(8, 0, 0, 0), (8, 1, 4, 0), (8, 1, 4, 2), (8, 1, 4, 3), (8, 1, 3, 0), (8, 1, 0, 0), (8, 1, 0, 0), (8, 1, 0, 0)]


def _term(name: str, category: Any, gib: int, formula: str, **inputs: int) -> Term:
    return Term(
        name=name,
        category=category,
        bytes=gib * GIB,
        formula=formula,
        inputs=dict(inputs),
        born="loaded",
        freed="between_steps",
        source="transformers 5.23",
        certainty="exact",
    )


def _moment(phase: Any, weights: int, optimizer: int, activations: int, logits: int) -> PhaseBytes:
    live: dict[Any, int] = {
        "weights": weights * GIB,
        "optimizer": optimizer * GIB,
        "activations": activations * GIB,
        "logits": logits * GIB,
        "runtime": GIB,
    }
    return PhaseBytes(phase=phase, total_bytes=sum(live.values()), live_bytes=live)


def _terms() -> tuple[Term, ...]:
    return (
        _term("linear weights", "weights", 8, "2 x elements", elements=4 * GIB),
        _term("states", "optimizer", 1, "constant"),
        _term("layer inputs", "activations", 4, "2 x B x S x hidden", B=1, S=1024, hidden=4096),
        _term("log-softmax", "logits", 3, "4 x B x S x vocab", B=1, S=1024, vocab=128000),
        _term("CUDA context", "runtime", 1, "constant"),
    )


#: Round numbers: 16 GiB of tensors, 1 of runtime and 1 of slack, on a card that offers 16.
_PLAN: dict[str, Any] = {
    "schema_version": "1",
    "tool_version": "0",
    "model": "org/some-model",
    "method": "lora",
    "total_params": 4_000_000_000,
    "trainable_params": 40_000_000,
    "weights_bytes": 8 * GIB,
    "gradients_bytes": 0,
    "optimizer_bytes": GIB,
    "activations_bytes": 4 * GIB,
    "logits_bytes": 3 * GIB,
    "workspace_bytes": 0,
    "runtime_bytes": GIB,
    "peak_bytes": 16 * GIB,
    "steady_bytes": 9 * GIB,
    "reserved_bytes": 17 * GIB,
    "device_bytes": 18 * GIB,
    "needed_bytes": 18 * GIB,
    "peak_phase": "backward_head",
    "low_bytes": 17 * GIB,
    "high_bytes": 20 * GIB,
    "verdict": "does not fit",
    "oom_probability": 0.999,
    "headroom_bytes": -2 * GIB,
    "usable_bytes": 16 * GIB,
    "gpu": "rtx-4080",
    "host_bytes": GIB,
    "disk_bytes": GIB,
    "adapter_bytes": GIB // 8,
    "certainty": "exact",
    "terms": _terms(),
    "timeline": tuple(_moment(phase, *live) for phase, live in zip(PHASES, _STEP, strict=True)),
}


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    """The plan made by hand, with changes."""

    def make(**changes: Any) -> Plan:
        return Plan(**(_PLAN | changes))

    return make


@pytest.fixture
def plan(make_plan: Callable[..., Plan]) -> Plan:
    return make_plan()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The page as a visitor gets it, with these URL parameters."""
    monkeypatch.chdir(ROOT)

    def visit(**query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return visit


@pytest.fixture(autouse=True)
def pictures_are_read_by_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture that a page of AppTest sends is one that Plotly knows and would not change."""
    send = Picture.to_dict

    def checked(picture: Picture) -> Spec:
        sent = send(picture)
        assert as_json(sent) == as_json(picture.checked.to_plotly_json())
        return sent

    monkeypatch.setattr(Picture, "to_dict", checked)


def as_json(figure: Spec) -> Any:
    """A figure as the page gets it, without the template, and without the empty lists that Plotly leaves out."""
    sent = json.loads(to_json(figure, validate=False))
    sent["layout"] = {name: value for name, value in sent["layout"].items() if name != "template" and value != []}
    return sent
