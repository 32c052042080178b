# Every target sets up .venv by itself when it is missing or stale.
SUITE  ?= default
ARCH   ?=
DATA   ?=
SEEDS  ?= 0
DEVICE ?= auto
BASE   ?=
N      ?= 1000
FROM   ?= submissions
PYTHON ?= python3

PY := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup bench leaderboard site check baseline publish submissions test fuzz perf lint format pretrain lock clean

help: ## Explain every target.
	@echo "make TARGET [SUITE=default] [ARCH=a,b] [DATA=d,e] [SEEDS=3] [DEVICE=auto] [BASE=ref]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the exact versions of constraints.txt (the other targets do this themselves).

$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@echo "setting up .venv (the first time it downloads torch, a few GB; later a package cache is used)"
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --constraint constraints.txt uv
	@$(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[test,lint]' \
	  || $(PY) -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	@touch $@

bench: $(READY) ## Run what is missing of a suite, then render results/leaderboard.md with its pages and plots.
	$(PY) -m benchmark run --suite $(SUITE) --architectures '$(ARCH)' --datasets '$(DATA)' --seeds $(or $(SEEDS),0) --device $(DEVICE)

leaderboard: $(READY) ## Render the board from the records alone (the committed one where this machine has none).
	$(PY) -m benchmark leaderboard

site: $(READY) ## Write the board as web pages that open from disk: results/site/index.html.
	$(PY) -m benchmark site

check: $(READY) ## Regression gate: accuracy and cost against the baseline; with BASE=ref also the times against it.
	$(PY) -m benchmark check --base '$(BASE)' --architectures '$(ARCH)' --device $(DEVICE)

baseline: $(READY) ## Accept the present state: run the gate's cells again, with other seeds too, as what check compares with.
	$(PY) -m benchmark baseline --device $(DEVICE)

publish: $(READY) ## Replace the published records of the suite by this machine's.
	$(PY) -m benchmark publish --suite $(SUITE)

test: $(READY) ## Run the tests.
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

submissions: $(READY) ## Check the format of what others have submitted; no data are needed.
	$(PY) -m benchmark score $(FROM) --format-only

fuzz: $(READY) ## Try every reader on N damaged files of each kind (make fuzz N=5000).
	FUZZ=$(N) $(PY) -m pytest tests/faults/test_fuzzed_files.py

perf: $(READY) ## Measure speed (pytest-benchmark): the harness tax, the models, the renderer, the board.
	$(PY) -m pytest tests/perf -o addopts= --benchmark-only -s --benchmark-columns=min,median,iqr,rounds

lint: $(READY) ## Check formatting, imports, lint and types.
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

format: $(READY) ## Format the code.
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

pretrain: $(READY) ## Make the tiny starting weights again (under 20 minutes on 2 cores).
	$(PY) -m benchmark pretrain

lock: $(READY) ## Write the versions that are installed now into constraints.txt.
	@$(PY) -m uv pip freeze --python $(PY) --exclude-editable --quiet | grep -v '^pip==' > constraints.txt
	@wc -l constraints.txt

clean: ## Remove .venv, twins, frame stores and this machine's results; committed records stay.
	rm -rf .venv .cache $(filter-out results/published results/h100,$(wildcard results/*))
