# The verbs of the project. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fmt bench soak heads results eval

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp holds what was installed; it is made anew when the pins change.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned dependencies (first time: a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "pip>=26" torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	@touch $@

setup: $(VENV)/.installed ## create .venv and install the pinned dependencies

demo: setup ## ingest the sample, stream three conversations, serve on 127.0.0.1:8080 (ARGS=--once to stop before serving)
	@$(BIN)/handrail demo $(ARGS)

test: setup ## run the whole suite, offline (ARGS are passed to pytest)
	@$(BIN)/python -m pytest -n 3 $(ARGS)

check: setup ## lint, types and import law
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fmt: setup ## format and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## measure latency, throughput, step budget, memory and start-up; JSON on stdout
	@$(BIN)/python -m evals.bench $(ARGS)

soak: setup ## kill processes, cut streams, repeat turns, let runs wait: nothing may be lost; JSON on stdout
	@$(BIN)/python -m handrail.soak $(ARGS)

eval: setup ## run the sample's and the red team's suites with their gates, a minute or two (ARGS="--out FOLDER" to keep them)
	@$(BIN)/handrail eval run handrail/samples/support/evals/dev.yaml \
		$(filter-out evals/suites/redteam-honest%,$(wildcard evals/suites/redteam-*.yaml)) $(ARGS)

results: setup ## run the public protocols on DATA=folder and write evals/RESULTS.md (ARGS="--out FOLDER" to go on later)
	@test -n "$(DATA)" || { echo "Say where the data is: make results DATA=folder"; exit 2; }
	@$(BIN)/python -m evals.results --data $(DATA) $(ARGS)

heads: setup ## train the heads again on DATA=folder and write design/heads.md (ARGS="--only NAME" for one)
	@test -n "$(DATA)" || { echo "Say where the data is: make heads DATA=folder"; exit 2; }
	@$(BIN)/python -m evals.heads --data $(DATA) $(ARGS)
