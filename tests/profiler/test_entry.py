"""The developer's entry: requests in, JSON lines out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from tests.profiler.recipes import request

pytestmark = pytest.mark.torch


def test_answers_errors_and_the_live_list(tmp_path: Path) -> None:
    good = request(method="lora").model_dump(mode="json", exclude_defaults=True) | {"id": "good"}
    bad = good | {"id": "bad", "loss": "fused"}
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in ({"request": good, "measured": {"peak_bytes": 1}}, bad)))
    run = subprocess.run(
        [sys.executable, "-m", "profiler.trace", str(path), "--live"], capture_output=True, text=True, check=True
    )
    first, *live, last = run.stdout.splitlines()
    answer = json.loads(first)
    assert answer["id"] == "good"
    assert answer["minus_truth"] == {"peak_bytes": answer["measured"]["peak_bytes"] - 1}
    assert live[0].startswith("peak ") and "lora_A" in run.stdout
    assert sum(int(line.split()[0].replace(",", "")) for line in live[1:]) == answer["measured"]["peak_bytes"]
    assert json.loads(last)["id"] == "bad" and "loss='fused'" in last
