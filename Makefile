# `make demo` and `make test` need Python 3.11 or later and nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := .demo
STORE  := sqlite:///$(DEMO)/mlflow.db
BOOK   := $(DEMO)/observation.ipynb
JOBS   ?= 2
# Much of the torture is waiting for servers that do not answer.
TORTURE_JOBS ?= 3

export MLFLOW_DISABLE_TELEMETRY ?= true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo lab test lint types unit torture format bench bench-quick docs recording gallery clean

help:  ## Show what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed  ## Train demo runs, write a notebook about them and execute it.
	@test -f $(DEMO)/mlflow.db || $(BIN)/create-demo-runs --tracking-uri $(STORE) >/dev/null
	@$(BIN)/create-observation-notebook --tracking-uri $(STORE) --experiment qualia-demo --all \
		--output $(BOOK) --overwrite --execute --no-input --quiet
	@echo "Open it in JupyterLab: make lab"

lab: $(VENV)/.lab  ## Open the demo notebook in JupyterLab.
	$(BIN)/jupyter lab $(BOOK)

test: lint types unit  ## Everything that CI checks.

lint: $(VENV)/.test  ## Ruff: rules and format, section templates included.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## mypy --strict on the package.
	$(BIN)/mypy

unit: $(VENV)/.test  ## pytest, warnings as errors.
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

torture: $(VENV)/.test  ## Attack it at full size, half an hour; writes the table of docs/security.md.
	QUALIA_TORTURE=full $(BIN)/pytest tests/torture -n $(TORTURE_JOBS) --dist loadgroup

format: $(VENV)/.test  ## Format and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed  ## Measure everything; writes benchmarks/RESULTS.md.
	$(BIN)/python benchmarks/commands.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/executing.py
	$(BIN)/python benchmarks/prompt.py
	$(BIN)/python benchmarks/drift.py $(if $(EVIDENTLY),--evidently $(EVIDENTLY))

bench-quick: $(VENV)/.installed  ## Measure reading 10,000 runs; under 2 minutes.
	$(BIN)/python benchmarks/reading.py --quick

docs: $(VENV)/.installed  ## Rewrite what in the docs comes out of the commands.
	$(BIN)/python docs/refresh.py

recording: $(VENV)/.test  ## Record the prompt again, for the README.
	$(BIN)/python docs/record.py

gallery: $(VENV)/.test  ## Draw docs/gallery.md again, from fresh demo runs; needs Chromium.
	$(BIN)/python docs/gallery.py

clean:  ## Remove what make made.
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; found $$($(PYTHON) --version). Use: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.lab: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[lab]'
	@touch $@
