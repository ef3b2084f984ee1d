# Every command a developer or a newcomer uses. `make demo` and `make test` need only Python 3.11, 3.12 or
# 3.13, git, make and the package registry.

# The first that there is; any other by `make PYTHON=...`.
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(if $(shell command -v python$(version)),python$(version))) python3)
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
# `make TORCH=cpu install`: torch without CUDA (or TORCH=cu130: with another) of PyTorch's own index, by a lock of its own.
BUILD := $(addprefix -,$(TORCH))
INSTALL := $(addprefix UV_TORCH_BACKEND=,$(TORCH)) $(BIN)/python envs/install.py --quiet --no-deps
COMPILE := $(VENV)/uv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url
export PATH := $(CURDIR)/$(BIN):$(PATH)
# As pip does; without, whoever may not write into .venv compiles whenever Python starts.
export UV_COMPILE_BYTECODE ?= true

.DELETE_ON_ERROR:

.PHONY: help install demo demo-scratch publish pull test test-slurm test-package coverage lint format schema docs wheel lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed$(BUILD) ## create .venv and install the locked packages

$(VENV)/installed$(BUILD): requirements$(BUILD).lock pyproject.toml envs/install.py | $(VENV)/uv
	$(INSTALL) --require-hashes --requirement $<
	$(INSTALL) --no-build-isolation --editable .
	touch $@

# Installs faster than pip, which envs/install.py falls back on where this fails.
$(VENV)/uv: envs/uv.txt
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --upgrade --target $@ --requirement $<
	mkdir -p $@ && touch $@

requirements-%.lock: requirements.lock | $(VENV)/uv
	cp $< $@
	$(COMPILE) --torch-backend $* pyproject.toml --extra all --group dev --override overrides.txt --output-file $@

demo: install ## run the whole workflow on real face video at nano scale, from the model in the package
	@if snakemake --configfile configs/demo.yaml --cores $(CORES) --dry-run --quiet all 2>&1 | grep -q 'Nothing to be done'; \
	then echo "Nothing to be done: the results are up to date."; \
	else snakemake --configfile configs/demo.yaml --cores $(CORES) all; fi
	@echo "Report:          results/report.html"
	@echo "Tables:          results/tables/"
	@echo "Enhanced video:  results/enhanced/enhanced.mp4 and side_by_side.mp4"

demo-scratch: install ## the same from random weights
	snakemake --configfile configs/demo.yaml configs/scratch.yaml --cores $(CORES) all

publish: install ## commit the last run's results to DVC, and push them (docs/versions.md)
	vividface publish

pull: install ## pull what was published, and make Snakemake agree with it
	vividface pull

test: install ## run all tests but SLURM's and the package's
	pytest -n $(CORES) --dist loadgroup

test-slurm: install ## run the tests on a real SLURM, started for them (needs root and slurm-wlm)
	pytest -m slurm tests/slurm

test-package: install ## build the wheel and try it in an empty environment
	pytest -m package tests/package

coverage: install ## run the tests of `make test` and state how much of the library they reach
	coverage erase
	COVERAGE_FILE=$(CURDIR)/.coverage COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml \
		coverage run --module pytest -n $(CORES) --dist loadgroup
	coverage combine --quiet
	coverage report

lint: install ## style, types and workflow checks
	ruff check .
	ruff format --check .
	mypy
	codespell
	snakefmt --check Snakefile rules
	snakemake --configfile configs/demo.yaml --lint

format: install ## rewrite files in the project's style
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

schema: install ## write config.schema.json, generated docs and environments, and config.yaml's comments
	python -m vividface.workflow.documentation
	vividface render-dvc --configfile configs/demo.yaml

docs: install ## build the documentation's site into site/
	mkdocs build --strict

wheel: install ## build the wheel into dist/
	python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lock: $(VENV)/uv ## resolve requirements.lock anew from pyproject.toml, for all supported versions of Python; and uv
	$(COMPILE) --upgrade pyproject.toml --extra all --group dev --override overrides.txt --output-file requirements.lock
	echo uv | $(COMPILE) --upgrade - --output-file envs/uv.txt

clean: ## remove what the workflow made (not the cache of downloads)
	rm -rf data checkpoints results provenance logs .snakemake site dist build .coverage*
