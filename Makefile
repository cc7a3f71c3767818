# The two commands are `make demo` and `make test`. Both set up what they need, and both can be run again.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
DEMO ?= demo
# Its pandas is another one than lensctl's libraries take
LSDB := 'lsdb==0.11.1'
# Two workers, a file at a time, in the order in which tests/conftest.py puts the files
TWO := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo compare test readers soak bench lint types docs pages tutorial setup clean help

help: ## Say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' | column -t -s '|'

demo: setup ## Run the whole pipeline on a mock survey, in demo/
	@$(MAKE) -f examples/Makefile BIN="$(BIN)" WORK="$(DEMO)" CONFIGS=examples/configs

compare: setup ## Train by two recipes on a mock survey and compare them, in work-compare/
	@$(MAKE) -f examples/compare.mk BIN="$(BIN)"

test: setup ## Run the tests
	$(BIN)/python -m pytest -m "not soak" $(TWO)

readers: setup $(VENV)-lsdb/.ready ## Let lsdb read what a search writes, in an environment of its own
	LENSCTL_LSDB_PYTHON=$(abspath $(VENV))-lsdb/bin/python $(BIN)/python -m pytest tests/search/test_hats.py

soak: setup ## Run the long tests too: many kills, thousands of faulty answers
	$(BIN)/python -m pytest $(TWO)

bench: setup ## Measure speed and memory beside the peers
	$(BIN)/python -m tests.benchmarks

lint: setup ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Check types
	$(BIN)/mypy

docs: setup ## Build the documentation into site/, with every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

pages: setup ## Make the pages that come from the code anew
	@for page in api reference/commands reference/gates reference/files; do \
	  $(BIN)/python docs/$$page.py > docs/$$page.new && mv docs/$$page.new docs/$$page.md; done

tutorial: setup ## Run the demo, and put its output into the tutorial
	@mkdir -p $(DEMO)
	@$(MAKE) demo 2>&1 | tee -a $(DEMO)/transcript.txt
	$(BIN)/python docs/tutorial.py $(DEMO)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "lensctl needs Python 3.11 or later; say which with: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@echo "Installing lensctl and what it needs into $(VENV)/ (once; several GB with torch)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)-lsdb/.ready:
	$(PYTHON) -m venv $(VENV)-lsdb
	$(VENV)-lsdb/bin/python -m pip install --quiet --disable-pip-version-check $(LSDB)
	@touch $@

clean: ## Remove the demo and the caches; the environment stays
	rm -rf $(DEMO) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
