# On a fresh machine with Python 3.11 or newer: `make app`, `make test` and `make profile`.
# Another interpreter: make app PYTHON=python3.12. Fewer processes: make test PYTEST="-n 0".

PYTHON ?= python3
PYTEST ?= -n auto
PROFILE ?= HuggingFaceTB/SmolLM2-135M --num-layers 2 --max-length 32 --steps 2
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.txt)

.PHONY: app test test-slow profile clean bench bench-app

app: .venv/installed-app
	$(BIN)/python -m planner app

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(PYTEST)

# The rest of the rounds of which `make test` runs a sample.
test-slow: .venv/installed-test
	$(BIN)/python -m pytest -q $(PYTEST) -m slow

bench: .venv/installed-app
	$(BIN)/python -m benchmarks.planner
	$(BIN)/python -m benchmarks.tables

# Needs the system's Chromium.
bench-app: .venv/installed-test
	$(BIN)/python -m benchmarks.app
	$(BIN)/python -m benchmarks.visitors

# Real steps of a small model on this machine, by all three methods, beside the plan and the trace.
profile: .venv/installed-test
	@for method in full lora qlora; do \
	  $(BIN)/python -m planner profile $(PROFILE) --method $$method --compare || exit 1; echo; \
	done
	$(BIN)/python -m planner profile --list

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " \
	+ sys.version.split()[0] + ": name another with make app PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/installed-app: $(BIN)/python pyproject.toml
	$(PIP) -e .
	@touch $@

# torch first and exactly, so that nothing else chooses a build of it.
.venv/installed-test: $(BIN)/python pyproject.toml requirements.txt
	$(PIP) "$(TORCH)"
	$(PIP) -r requirements.txt -e ".[profiler,dev]"
	@touch $@ .venv/installed-app
