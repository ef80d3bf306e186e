# Works with GNU make 3.81 and any POSIX shell. scripts/setup.sh does the set-up and
# costs a fraction of a second when there is nothing to do.
SHELL := /bin/sh
.DEFAULT_GOAL := help

ARGS ?=
WORKERS ?= auto
SECONDS ?= 300
BIN := .venv/bin
# What the tests of a file share is made once; tests/conftest.py says how many workers there are, and which files come
# first. On CI a test that is skipped has failed.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(CI),-p tests.support.no_skips)

.PHONY: help demo run test test-all soak fuzz reliability bench lint format dashboards docs pictures manifests lock dist sbom audit setup setup-dev clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: setup ## Run the exporter on a simulated API: make demo ARGS="--web.listen-address=:10094"
	@$(BIN)/insights-exporter demo $(ARGS)

run: setup ## Run the exporter: make run ARGS="--config.file=config.yaml"
	@$(BIN)/insights-exporter $(ARGS)

test: lint ## Style, types, imports and tests; ARGS go to pytest
	$(PYTEST) -m "not long" $(ARGS)

test-all: lint ## The same with the tests that take minutes
	FUZZ_CASES=12500 $(PYTEST) -m "" --hypothesis-profile=new $(ARGS)

soak: setup-dev ## Faults at random on the running exporter: make soak SECONDS=3600
	SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/faults/test_soak.py $(ARGS)

fuzz: setup-dev ## Fuzz all that reads from outside, guided by coverage: make fuzz SECONDS=3600
	@sh scripts/fuzz.sh $(SECONDS)

reliability: setup-dev ## Run the fault matrix in full, and write its results into docs/reliability.md
	$(PYTEST) -m "" --junitxml=build/faults.xml tests/faults $(ARGS)
	$(BIN)/python -m tests.faults.report build/faults.xml

bench: setup-dev ## Measure beside peers: make bench ARGS="--write", or ARGS=scrape for a row
	@sh scripts/bench.sh $(ARGS)

lint: setup-dev ## Style, types and imports alone
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup-dev ## Put the code into its style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

dashboards: setup ## Write grafana/dashboards/ from the code
	@$(BIN)/python scripts/dashboards.py $(ARGS)

docs: setup ## Write the references, the rooms of the code and the JSON Schema from the code
	@$(BIN)/python scripts/reference.py $(ARGS)
	@$(BIN)/python scripts/operations_table.py $(ARGS)
	@$(BIN)/python scripts/architecture.py $(ARGS)
	@$(BIN)/python scripts/man_page.py $(ARGS)

pictures: setup-dev ## Take the pictures of the status page in docs/pictures/, in Chromium
	@$(BIN)/python -m tests.system.pictures

manifests: setup ## Write the rules in deploy/kubernetes/, and what the Helm chart's values say
	@$(BIN)/python scripts/prometheus_rules.py $(ARGS)
	@$(BIN)/python scripts/helm_values.py $(ARGS)

lock: setup ## Write the lock files anew; ARGS=--upgrade takes newer versions
	@sh scripts/lock.sh $(ARGS)

dist: setup ## Build the source archive and the wheel, the same bytes each time
	@sh scripts/dist.sh

sbom: dist ## Write the bill of materials (CycloneDX) beside them
	@sh scripts/sbom.sh

audit: setup ## Look up known weaknesses of every locked package
	@sh scripts/audit.sh $(ARGS)

clean: ## Remove everything that make has made
	rm -rf .venv .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf build dist htmlcov exporter/commit.txt
	find exporter tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || :

setup:
	@sh scripts/setup.sh runtime

setup-dev:
	@sh scripts/setup.sh dev
