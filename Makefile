# Everything a contributor types. Each target sets up what it needs: Python 3.11 or newer with pip and venv is enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench gpu-check gpu-train builtin-models clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(INSTALLED)  ## install everything into .venv

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[all]' --group dev
	@# Without libGL on the system only the wheel without windows works; both must never be installed together.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  echo "no libGL on this system: installing OpenCV without windows (p2p-run then needs --no-show)"; \
	  $(BIN)/uv pip uninstall --quiet --python $(BIN)/python opencv-python && \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt opencv-python-headless; }
	touch $(INSTALLED)

demo: $(INSTALLED)  ## train, export, translate a stream and report: a few minutes, nothing needed
	$(BIN)/p2p-demo

test: $(INSTALLED)  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(INSTALLED)  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## measure the built-in bundle, the live stream, the graph, start-up and training
	$(BIN)/p2p-bench builtin:labels
	$(BIN)/python -m benchmarks.runtime
	$(BIN)/python -m benchmarks.fused_graph
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.training --width 64 --batch 1
	$(BIN)/python -m benchmarks.training --width 16 --batch 1,4

gpu-check: $(INSTALLED)  ## measure training, engines and the stream on the NVIDIA GPU at hand (under 8 minutes)
	$(BIN)/python -m benchmarks.gpu_check

gpu-train: $(INSTALLED)  ## train the real facades set at the paper's recipe for 9 minutes; again: go on
	$(BIN)/python -m benchmarks.gpu_train

builtin-models: $(INSTALLED)  ## train the two bundles that ship inside the package anew (half an hour on two cores)
	$(BIN)/python -m export.builtin_models

clean:  ## remove what the targets above made, .venv included
	rm -rf $(VENV) build *.egg-info demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
