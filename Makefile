# `make demo` and `make test` do all the set-up on a bare machine with Python
# 3.11 or newer; a second run finds the stamps and starts at once. To install
# another build of torch, or from elsewhere, set pip's own variables
# (PIP_CONFIG_FILE, PIP_INDEX_URL, ...) or fill .venv yourself first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
# The lowest napari that pyproject.toml promises.
OLDEST_NAPARI = $(shell sed -n 's/^ *"napari>=\([0-9.]*\)".*/\1/p' pyproject.toml)
OUTPUT ?= demo-output
ARGS ?=

SYSTEM := $(VENV)/.system
INSTALLED := $(VENV)/.installed
# A real window needs a display: Xvfb's where it is installed.
DISPLAYED = $(shell command -v xvfb-run >/dev/null && echo 'xvfb-run -a -s "-screen 0 1600x1000x24"')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR: # an environment that an interrupt left half-made
.PHONY: help demo test lint format types imports manifest check test-oldest clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: $(INSTALLED) ## annotate the images that ship, score them, write pictures
	$(BIN)/napari-sam demo --output $(OUTPUT)

test: $(INSTALLED) $(SYSTEM) ## run the tests (ARGS="-k name" to choose)
	$(DISPLAYED) $(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

imports: $(INSTALLED) ## which room may import which
	$(BIN)/lint-imports --no-cache

manifest: $(INSTALLED) ## napari's manifest, as installed
	$(BIN)/npe2 validate napari-sam-annotator

check: test lint types imports manifest ## all of the above

# An old napari among today's libraries warns in ways that nobody can mend.
test-oldest: $(OLDEST)/.installed $(SYSTEM) ## widgets and manifest with the lowest napari
	$(DISPLAYED) $(OLDEST)/bin/python -m pytest -o filterwarnings=default tests/widgets tests/test_package.py $(ARGS)
	$(OLDEST)/bin/npe2 validate napari-sam-annotator

clean: ## remove the environments and what the demo wrote
	rm -rf $(VENV) $(OLDEST) demo-output

# Debian keeps ensurepip in a package of its own: let the pip that is there
# fill the environment instead.
%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $*
	$(PYTHON) -m pip --disable-pip-version-check --python $@ install --quiet pip

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo 'Installing into $(VENV); the first time takes minutes (torch with CUDA is about 3 GB).'
	$(BIN)/python -m pip install --editable '.[all,test]'
	@touch $@

$(OLDEST)/.installed: pyproject.toml | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -m pip install --editable '.[test]' 'napari[all]==$(OLDEST_NAPARI)'
	@touch $@

$(SYSTEM): tools/system-libraries.sh | $(BIN)/python
	bash tools/system-libraries.sh
	@touch $@
