# deltanb: `make lab` opens the first tutorial, `make test` runs every check. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin
FIRST := 01-your-first-delta.ipynb
SETUP = $(PYTHON) tools/setup_env.py
PYTEST = $(BIN)/python -m pytest -q
# The widgets' scripts, with the Node.js that pip installed.
NPM = cd js && PATH="$(CURDIR)/$(BIN):$$PATH" npm --silent
# Two workers with one thread each; tests that share a file stay in one worker and so share what it loaded.
PARALLEL = -n 2 --dist loadfile
ROOT_FLAG = $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab demo test check docs widgets bench format wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab:  ## set up and open JupyterLab on the first tutorial
	@$(SETUP) --extras lab
	$(BIN)/python -m jupyterlab $(ROOT_FLAG) --ServerApp.root_dir=notebooks --LabApp.default_url=/lab/tree/$(FIRST)

demo:  ## the main job from end to end in the terminal, in under 3 minutes
	@$(SETUP) --extras lab
	@$(BIN)/python -m deltanb.demo

# Tests use no network: models and data come from packages, and nothing phones home.
check test: export HF_HUB_OFFLINE = 1
check test: export HF_HUB_DISABLE_TELEMETRY = 1
check test: export DO_NOT_TRACK = 1
check test: export TOKENIZERS_PARALLELISM = false
check test: export OMP_NUM_THREADS = 1

check:  ## the fast part: lint, format, types, fast tests
	@$(SETUP) --extras lab,test --node
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(NPM) run check
	$(NPM) run build -- --check
	$(NPM) test
	$(PYTEST) $(PARALLEL) -m "not slow and not notebook and not browser"

test: check  ## every check: also slow tests, notebooks and the browser
	@$(SETUP) --extras lab,test,docs --chromium
	$(PYTEST) -n 2 -m "slow and not notebook and not browser"
	$(PYTEST) -m "notebook or browser"

docs: export HF_HUB_OFFLINE = 1
docs: export OMP_NUM_THREADS = 1
docs:  ## build the documentation into docs/_build/html; a warning is an error
	@$(SETUP) --extras lab,docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

widgets:  ## bundle the widgets' scripts and styles from js/ into deltanb/widgets/static/
	@$(SETUP) --extras lab,test --node
	$(NPM) run build

bench: export OMP_NUM_THREADS = 1
bench:  ## run benchmarks/ and print one table
	@$(SETUP) --extras lab,bench
	@$(BIN)/python -m benchmarks

format:  ## let ruff mend what it can
	@$(SETUP) --extras lab,test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel:  ## build dist/deltanb-*.whl
	@$(SETUP) --extras lab,test
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove what tools left behind; .venv stays
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/lessons docs/models docs/reference/python docs/reference/verbs docs/types
	find deltanb tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
