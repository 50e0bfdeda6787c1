# Two commands: `make demo` and `make test`. Each does its own set-up, in .venv and data/, without root.

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
BIN := .venv/bin
EXTRAS := speech,vision,text,preference,serve,judge,postgres,dev
# BLAS and OpenMP threads that spin on a busy machine cost ten times what they give.
export OMP_WAIT_POLICY := passive
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup fetch demo test test-all up check format benchmarks screenshots constraints clean

help:           ## what there is
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready data/packages/.ready   ## virtual environment, base weights, sample data (done once)

fetch: .venv/.ready   ## base weights, recorded speech and a fast BLAS again, say after being offline
	@$(BIN)/python data/fetch.py

demo: setup     ## the whole loop on sample data, line by line; one line: .venv/bin/mlops demo LINE
	@$(BIN)/mlops demo

test: setup     ## every test but the slow ones
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --max-worker-restart 0 --dist loadfile

test-all: setup ## every test
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --max-worker-restart 0 --dist loadfile -m "slow or not slow"

up: setup       ## Dagster UI and daemon, MLflow UI; Ctrl-C stops them
	@$(BIN)/mlops up

check: .venv/.ready   ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: .venv/.ready  ## let ruff write
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

benchmarks: setup     ## every figure of the README
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	@$(BIN)/python benchmarks/figures.py

screenshots: setup    ## the pictures in docs/ (needs a Chromium), from a home of their own
	@MLOPS_HOME=$(CURDIR)/.venv/screenshots $(BIN)/python docs/screenshots.py

constraints:    ## write constraints.txt anew from the newest releases
	$(PYTHON) -m venv .venv/renew
	.venv/renew/bin/pip install -q -e '.[speech,vision,text,preference,serve,judge,scale,cloud,benchmarks]'
	(head -1 constraints.txt; .venv/renew/bin/pip freeze --exclude-editable | sed -E 's/\+cpu//' | sort -f) > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt && rm -r .venv/renew

clean:          ## remove the environment and what was fetched (never MLOPS_HOME)
	rm -rf .venv data/packages data/models

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Set one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the pinned environment into .venv (a few minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

data/packages/.ready: .venv/.ready data/fetch.py data/models.toml
	@$(BIN)/python data/fetch.py
	@mkdir -p data/packages && touch $@
