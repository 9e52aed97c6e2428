# Two commands do all the set-up: `make demo` and `make test`. They need Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/ivr-it

.PHONY: demo test lint types check clean

demo: $(VENV)/.installed-recipes
	$(BIN)/python recipes/ivr_prompts/prepare.py --language it
	$(BIN)/python recipes/ivr_prompts/train.py --language it --output $(RUN)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy

check: lint types test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old; wanted 3.11 or newer: make demo PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-recipes: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[recipes]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[recipes,dev]'
	touch $@ $(VENV)/.installed-recipes

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
