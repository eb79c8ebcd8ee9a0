"""The lookup on the Hub: the real client against a stand-in for the Hub, in every way that it can end."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner import hub
from planner.catalog import resolve_config
from planner.errors import PlannerError, UnknownModelError
from planner.estimate import estimate
from planner.schema import parse_request
from tests.stand_in_hub import LLAMA, stand_in_hub

pytest.importorskip("huggingface_hub")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is kept from other tests, and the client's cache is the test's own."""
    from huggingface_hub import constants

    monkeypatch.setattr(hub, "_found", {})
    monkeypatch.setattr(hub, "_failed", {})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The requests that the stand-in got."""
    with stand_in_hub() as (address, requests):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield requests


def request(model: str) -> dict[str, object]:
    return {"model": model, "method": "lora", "gpu": "rtx-4090", "max_length": 64}


def test_an_id_gives_the_plan_of_its_config(asked: list[str]) -> None:
    plan = estimate(parse_request(request("org/good")))
    own = estimate(parse_request(request("org/good") | {"model": LLAMA}))
    assert plan.model == "org/good"
    assert plan.terms == own.terms
    assert "from the Hub, revision 0123456; its safetensors hold 123,456 elements in BF16" in plan.notes[0]


def test_only_the_config_and_the_headers_are_asked_for_and_once(asked: list[str]) -> None:
    for _ in range(3):
        hub.find_on_hub("org/good")
    assert [line for line in asked if "config.json" not in line and "/api/models/org/good" not in line] == []
    assert 1 <= len(asked) <= 4


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("org/gated", "gated on the Hub"),
        ("org/private", "no model of this id, or it is private"),
        ("org/missing", "no model of this id, or it is private"),
        ("org/no-config", "has no config.json"),
        ("org/broken", "not valid JSON"),
        ("org/list", "not an object"),
        ("org/binary", "not text in UTF-8"),
        ("org/deep", "nested too deeply"),
        ("org/huge", "larger than 1 MiB"),
        ("org/down", "HTTP 503"),
    ],
)
def test_each_failure_is_one_line(asked: list[str], model: str, words: str) -> None:
    with pytest.raises(UnknownModelError) as refusal:
        resolve_config(model)
    assert words in refusal.value.message
    assert "neither in the catalogue nor a file" in refusal.value.message
    assert "\n" not in refusal.value.message
    assert len(refusal.value.message) < 500


def test_a_model_type_that_is_not_known_is_refused_as_anywhere(asked: list[str]) -> None:
    with pytest.raises(PlannerError, match="no_such_type"):
        estimate(parse_request(request("org/another-type")))


def test_a_hub_that_does_not_answer_is_given_up_in_time(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TIME_LIMIT_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(UnknownModelError, match=r"did not answer within 0.5 seconds"):
        resolve_config("org/slow")
    assert time.monotonic() - start < 3


def test_the_client_s_own_limit_is_said_too(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_ANSWER_SECONDS", 0.3)
    with pytest.raises(UnknownModelError, match=r"did not answer within 0.3 seconds"):
        resolve_config("org/slow")


def test_without_a_network_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(UnknownModelError, match="cannot be reached"):
        resolve_config("org/good")


def test_a_failure_stands_for_a_while_and_is_tried_again(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        with pytest.raises(hub.NotOnHubError):
            hub.find_on_hub("org/missing")
    before = len(asked)
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.0)
    with pytest.raises(hub.NotOnHubError):
        hub.find_on_hub("org/missing")
    assert len(asked) > before


def test_offline_nothing_is_asked_and_the_catalogue_answers(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownModelError, match="HF_HUB_OFFLINE"):
        resolve_config("org/good")
    assert resolve_config("meta-llama/Llama-3.1-8B")[2] is not None
    assert asked == []


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/x",
        "https://example.com/config.json",
        "../secret",
        "org/../other",
        "org/name/more",
        "org",
        "org/",
        "/name",
        "org/name.git",
        "org name/x",
        "org/a--b",
        "org/a..b",
        "org\\name/x",
        "-org/name",
        "org/name?x=1",
        "org/name#x",
        "user@host/x",
        "o" * 97 + "/x",
        "org/" + "n" * 97,
    ],
)
def test_what_is_no_id_is_never_asked_for(asked: list[str], text: str) -> None:
    assert not hub.is_hub_id(text)
    with pytest.raises(PlannerError):
        resolve_config(text)
    assert asked == []


def test_the_token_of_a_hosted_copy_s_owner_is_not_lent(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[object] = []
    import huggingface_hub

    original = huggingface_hub.hf_hub_download
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *a, **k: tokens.append(k["token"]) or original(*a, **k)
    )
    monkeypatch.setenv("TUNEBUDGET_HOSTED", "1")
    hub.find_on_hub("org/good")
    assert tokens == [False]


def test_the_command_line_looks_up_as_well(tmp_path: Path) -> None:
    with stand_in_hub() as (address, _):
        command = [sys.executable, "-m", "planner", "fit", "org/good", "--method", "lora", "--gpu", "t4", "--json"]
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "PATH": ""}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout)["model"] == "org/good"


def test_planning_what_the_catalogue_knows_loads_no_client() -> None:
    code = (
        "import sys; from planner.estimate import estimate; from planner.schema import parse_request; "
        f"estimate(parse_request({request('gpt2')!r})); print('huggingface_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
