# Every command a developer or a newcomer uses. `make demo` and `make test` need only Python 3.11, git, make
# and the package registry.

PYTHON ?= python3.11
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install demo publish restore test lint format lock clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## create .venv and install the locked packages

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## run the whole chain on real face video at nano scale
	@if snakemake --configfile configs/demo.yaml --cores $(CORES) --dry-run --quiet all 2>&1 | grep -q 'Nothing to be done'; \
	then echo "Nothing to be done: the results are up to date."; \
	else snakemake --configfile configs/demo.yaml --cores $(CORES) all; fi
	@echo "Report:          results/report.html"
	@echo "Tables:          results/tables/"
	@echo "Enhanced video:  results/enhanced/enhanced.mp4 and side_by_side.mp4"

publish: install ## commit to DVC and push what the last run made (docs/versions.md)
	vividface publish

restore: install ## pull what was published, and make Snakemake agree
	vividface restore

test: install ## run all tests
	pytest -n $(CORES) --dist loadgroup

lint: install ## style, types and workflow checks
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --configfile configs/demo.yaml --lint

format: install ## rewrite files in the project's style
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

lock: ## resolve requirements.lock anew from pyproject.toml
	uv pip compile pyproject.toml --group dev --generate-hashes --override envs/overrides.txt --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --upgrade --output-file requirements.lock

clean: ## remove what the workflow made (not the cache of downloads)
	rm -rf data checkpoints results provenance logs benchmarks/rules .snakemake
