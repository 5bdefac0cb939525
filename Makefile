# The two commands of the README, and what developers use. Everything happens in .venv.
PYTHON ?= python3
MINUTES ?= 3
BIN = .venv/bin
STAMP = .venv/installed

demo: $(STAMP)  ## train on the Python standard library's source, then let the model write code
	$(BIN)/newleaf train --out runs/python --minutes $(MINUTES)
	$(BIN)/newleaf generate runs/python "def __init__(self" --echo --max-tokens 120
	@echo; echo "The report: runs/python/report.html"

test: $(STAMP)  ## everything that a change must pass
	$(BIN)/python -m pytest -n 2

check: style test  ## format, lint, types, tests: the same for a person and for CI

style: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

campaign: $(STAMP)  ## the slow reliability campaigns, in full
	$(BIN)/python -m pytest -m campaign -s

test-hub: $(STAMP)  ## with real models of the hub; needs a network
	$(BIN)/python -m pytest -m hub

test-hf4: .venv-hf4/installed  ## what is written is read by transformers 4.57, too
	.venv-hf4/bin/python -m pytest tests/conversion/test_versions.py

test-ecosystem: .venv-ecosystem/installed  ## what is written passes through peft, trl and lm-eval
	.venv-ecosystem/bin/python -m pytest -m ecosystem tests/promises tests/conversion/test_adapter.py

.venv-hf4/installed: pyproject.toml
	$(PYTHON) -m venv .venv-hf4
	.venv-hf4/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep ^torch== constraints.txt)" 'transformers>=4.57,<5' pytest hypothesis -e .
	@touch $@

.venv-ecosystem/installed: pyproject.toml
	$(PYTHON) -m venv .venv-ecosystem
	.venv-ecosystem/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep ^torch== constraints.txt)" peft trl lm-eval pytest hypothesis -e .
	@touch $@

$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

.PHONY: demo test check style campaign test-hub test-hf4 test-ecosystem
