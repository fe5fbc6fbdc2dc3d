# Everything runs in .venv, which the first target that needs it makes. A second call installs nothing.
VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
# Two threads in one process wait for each other whenever a core is busy: each run has one.
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow check lint format bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | awk -F: '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: $(VENV)/.installed ## the main job: the deck's Inception net against the same net with its jump, on digits
	$(BIN)/daiving compare plain=mnist_inception jump=mnist_inception:jump=true \
	    --task digits --epochs 3 --max-pairs 10 --smallest 1pp

test: $(VENV)/.installed-dev ## the tests (installs what they need)
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-dev ## the real trainings too
	$(BIN)/python -m pytest -m slow -n 0

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports
	$(BIN)/codespell

check: lint test ## style, types, import rules, spelling, tests: what CI runs

format: $(VENV)/.installed-dev ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## all benchmarks, one after the other (about an hour)
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove .venv and what tools have left
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build src/*.egg-info

LOOPS := $(wildcard src/daiving/nets/loops*.cpp src/daiving/nets/loops*.h)

$(VENV)/.installed: pyproject.toml constraints.txt $(LOOPS)
	@echo "Installing into $(VENV), once; it takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(LOOPS)
	@echo "Installing into $(VENV) with what the tests need, once; it takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq -c constraints.txt -e '.[onnx,dev]'
	@touch $@ $(VENV)/.installed
