# Two commands do all the set-up: `make run` and `make test`. Everything they install lies in .venv and web/node_modules.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVICES := gateway engine batch llm rag embedded
.DEFAULT_GOAL := help

.PHONY: help install web run test check browser nginx rabbitmq lock clean

help: ## Show what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: install web ## Install, build the page, and start everything on this machine
	@exec $(BIN)/parley up

install: $(VENV)/.installed ## Install Parley and what it needs into .venv

# --no-deps: the locks are complete, and silero-vad's metadata would pull in PyTorch, which is never imported.
$(VENV)/.installed: pyproject.toml $(SERVICES:%=requirements/%.txt) scripts/find-python scripts/complete-torch
	@test -x $(BIN)/python || "$$(scripts/find-python $(PYTHON))" -m venv $(VENV)
	@echo "Installing Python packages into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(SERVICES:%=-r requirements/%.txt)
	@scripts/complete-torch $(BIN)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt
	@touch $@

web: install ## Build the page
	@scripts/build-web $(BIN)

test: $(VENV)/.installed-dev web browser nginx rabbitmq ## Run every test
	@cd web && PATH="$(CURDIR)/$(BIN):$$PATH" npm test --silent
	@$(BIN)/python -m pytest

check: $(VENV)/.installed-dev ## Lint, types, import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

browser: $(VENV)/.installed-dev ## Find or install the browser that the browser test drives
	@scripts/find-browser $(BIN) || true

nginx: ## Find or install the nginx that its tests put in front
	@scripts/find-nginx || true

rabbitmq: ## Find or install the RabbitMQ that its test runs
	@scripts/find-rabbitmq || true

lock: $(VENV)/.installed-dev ## Renew the lock files from pyproject.toml
	@scripts/lock $(BIN)

clean: ## Remove what was installed and built (not the data)
	rm -rf $(VENV) web/node_modules web/dist
