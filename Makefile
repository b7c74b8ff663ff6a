# make demo | make test | make lint | make dist | make clean: each sets up what it needs in .venv, nothing else is assumed
# but Python 3.10 or later with its venv module.
PYTHON ?= python3
VENV ?= .venv
# The CPU build where one is at hand; a looser pin may bring gigabytes of CUDA. Override it on a GPU machine:
# make test TORCH=torch
TORCH ?= torch==2.13.0

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
# What an installation depends on: the passes are compiled by it.
BUILT_FROM := pyproject.toml setup.py $(wildcard native/*.[ch])

.PHONY: help demo test lint dist clean
help:
	@echo "make demo   pictures and a short video, before and after, in demo-output/"
	@echo "make test   linters, type checker and all tests"
	@echo "make lint   linters and type checker alone"
	@echo "make dist   the wheel, built twice to the same bytes, with its hash and the list of its parts"
	@echo "make clean  remove what make and the tests made, the virtual environment too"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: $(PYTHON) is older than 3.10" >&2; echo "hint: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The runtime as a user has it, and scikit-image for its photographs.
$(VENV)/.ready-demo: $(BUILT_FROM) | $(BIN)/python
	@echo "installing the runtime into $(VENV) ..."
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.ready-dev: $(BUILT_FROM) | $(BIN)/python
	@echo "installing runtime, training, export and development tools into $(VENV) ..."
	$(PIP) '$(TORCH)' -e '.[train,teacher,export,dev]'
	@$(PIP) -e '.[rtx]' || echo "note: TensorRT-RTX cannot be installed here; its build tests will be skipped"
	@touch $@ $(VENV)/.ready-demo

demo: $(VENV)/.ready-demo
	$(BIN)/python examples/demo.py --out demo-output

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --level error
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest

dist: | $(BIN)/python
	$(PIP) 'cyclonedx-bom>=7,<8'
	$(BIN)/python .ci/dist.py

clean:
	rm -rf edge_harmony/pixels/_passes_* $(VENV) demo-output build dist web-sdk/dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
