# Two commands do all the set-up: `make demo` and `make test`. They need Python 3.11 or newer, git and make, and install
# exactly the versions in requirements/, which `make lock` refreshes. `make test-newest` tests with the newest ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/ivr-it
# Passes of the demo over its training set; the recipe by itself makes 22.
EPOCHS ?= 9
# Tests start Python hundreds of times: what one process compiled, the others find.
unexport PYTHONDONTWRITEBYTECODE

# Where a package has no wheel, what builds it is locked too.
INSTALL = -m pip install --quiet --no-build-isolation
define locked
$(1)/bin/python -m pip install --quiet --requirement requirements/build.txt
$(1)/bin/python $(INSTALL) --requirement requirements/$(2).txt
$(1)/bin/python $(INSTALL) --no-deps --editable .
endef

.PHONY: demo test test-all test-newest lock lint types check docs release-check clean

demo: $(VENV)/.installed-recipes
	$(BIN)/python recipes/ivr_prompts/prepare.py --language it
	$(BIN)/python recipes/ivr_prompts/train.py --language it --epochs $(EPOCHS) --output $(RUN)

# A process on each core. `test-all` adds the tests marked slow.
test test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(if $(filter test-all,$@),-m "")

test-newest:
	$(PYTHON) scripts/newest.py

lock:
	PYTHON=$(PYTHON) scripts/lock.sh

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry speechxfer recipes scripts
	$(BIN)/python -m codespell_lib

types: $(VENV)/.installed-dev
	$(BIN)/mypy --num-workers auto

check: lint types test

docs: $(VENV)/.installed-docs
	$(BIN)/python -m scripts.docs
	$(BIN)/zensical build

release-check:
	PYTHON=$(PYTHON) scripts/release_check.sh

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old; wanted 3.11 or newer: make demo PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-recipes: pyproject.toml requirements/demo.txt | $(BIN)/python
	$(call locked,$(VENV),demo)
	touch $@

$(VENV)/.installed-dev: pyproject.toml requirements/dev.txt | $(BIN)/python
	$(call locked,$(VENV),dev)
	touch $@ $(VENV)/.installed-recipes

$(VENV)/.installed-docs: pyproject.toml requirements/docs.txt | $(BIN)/python
	$(call locked,$(VENV),docs)
	touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
