# The commands of this project, each runnable on a fresh clone: what needs the environment makes it first.
#
#   SCALE    smoke, laptop, lab or paper: the caps on every size (see platform/rollbench/config/scale.py)
#   EXTRAS   which optional packages to install: dev, tfhub, fields
#   PYTHON   a Python >= 3.11
# On a machine without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves a download of about 3 GB.

SCALE  ?= laptop
EXTRAS ?= dev
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PYTEST := .venv/bin/python -m pytest -q

comma := ,
READY := .venv/.installed-$(subst $(comma),-,$(EXTRAS))

.DEFAULT_GOAL := help
# What a scale applies to, and the paper's tables of settings, to which it does not.
EXPERIMENTS := table1 table2 table3 table8 table9 table10 figure3 figure4 figure5 figure6 figure7 figure8 \
               sweep_cond_gen search_beta efficiency robustness
PRINTED := table4 table5 table6 table7

.PHONY: help setup $(EXPERIMENTS) $(PRINTED) test test-slow test-faults lint format audit benchmarks ui clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

setup: $(READY) ## create .venv with the pinned versions (again only when they change)

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

table8: ## Kolmogorov flow, from simulation to the table, into out/table8 (SCALE=laptop)
table3: ## video rollouts scored by FVD, on a stand-in for Kinetics-600, into out/table3; alike: table1 … figure8, efficiency …

$(EXPERIMENTS): setup
	.venv/bin/python experiments/$@.py --scale $(SCALE)

$(PRINTED): setup
	.venv/bin/python experiments/$@.py

test: setup ## the fast tests
	$(PYTEST) -m "not slow"

test-slow: setup ## the long ones
	$(PYTEST) -m slow --ignore tests/faults

test-faults: setup ## processes and hosts that die, storage that fails or is full: the same table all the same
	$(PYTEST) -m slow tests/faults

lint: setup ## style, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## put the format right
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

audit: ## known vulnerabilities of the pinned versions, by pip-audit in an environment of its own
	test -x .audit/bin/pip-audit || { "$(PYTHON)" -m venv .audit && .audit/bin/pip install --quiet pip-audit; }
	.audit/bin/pip-audit --disable-pip --no-deps --requirement constraints.txt

benchmarks: setup ## each of tests/benchmarks, one after the other
	for file in tests/benchmarks/*.py; do .venv/bin/python $$file || exit 1; done

ui: setup ## browse every recorded run at http://127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true \
	.venv/bin/mlflow ui --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri sqlite:///$(CURDIR)/store/mlflow.db

clean: ## remove caches; the environment (.venv) and the results (store/, out/) stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
