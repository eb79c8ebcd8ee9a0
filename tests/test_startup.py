"""Starting up is a feature: what a fresh interpreter has loaded after each import and command."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch transformers peft bitsandbytes accelerate pandas streamlit plotly numpy rich pyarrow xlsxwriter "
    "huggingface_hub"
).split()

#: Runs tunebudget with the arguments given, then prints which heavy modules are loaded.
COMMAND = f"""
import contextlib, io, sys
from planner.cli.root import tunebudget
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    tunebudget(sys.argv[1:])
print([name for name in {HEAVY} if name in sys.modules])
"""


def loaded(code: str, *args: str) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("module", ["planner", "planner.cli", "planner.cli.root", "planner.estimate", "planner.advise"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert loaded(code) == "[]"


@pytest.mark.parametrize("module", ["planner", "planner.cli", "planner.cli.root"])
def test_the_help_needs_no_model(module: str) -> None:
    assert loaded(f"import sys, {module}; print('pydantic' in sys.modules)") == "False"


@pytest.mark.parametrize(
    "command",
    [
        "fit llama-3.3-70b --method qlora --gpu rtx-4090",
        "fit llama-3.1-8b --gpu rtx-4090",
        "plan gpt2 --method full --json",
        "compare gpt2 --gpu t4",
        "drill --seed 1 --count 2 --json",
        "serve gpt2 --gpu t4 --max-model-len 512",
        "models gpt2",
        "gpus",
        "evidence --method full --worst 1",
        "calibrate --published",
        "explain",
        "explain states --model gpt2",
        "schema",
        "doctor",
        "fit --help",
        "table --help",
        "--help",
    ],
)
def test_no_command_loads_a_heavy_module(command: str) -> None:
    assert loaded(COMMAND, *command.split()) == "[]"


def test_a_first_start_asks_for_nothing() -> None:
    """Streamlit asks for an email address at its first start, before it serves a page, unless it is told not to."""
    import tomllib

    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["showEmailPrompt"] is False
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["address"] == "127.0.0.1"


def test_a_first_visit_needs_no_pandas() -> None:
    """Importing it takes 0.4 s of CPU, of the 1.1 s of the first answer with it."""
    code = (
        f"import sys; from streamlit.testing.v1 import AppTest; app = AppTest.from_file({str(ROOT / 'app.py')!r}).run("
        "timeout=120); print(len(app.get('plotly_chart')), 'pandas' in sys.modules)"
    )
    assert loaded(code) == "2 False"
