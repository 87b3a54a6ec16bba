# Two commands are enough on a fresh machine: make run, make test. They set up what they need by themselves.
SHELL := /bin/sh
BIN := .venv/bin
export PATH := $(CURDIR)/.make/tools/usr/bin:$(PATH)
AS_OF := 2026-11-23T12:00:00Z
# Of tests: one more than processors, as some tests wait most of their time.
PROCESSES = $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)

.PHONY: help run demo test check golden dashboards rules chart bench engines release audit lock image-test clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .make/venv ## Serve the sample company on http://localhost:9488/
	$(BIN)/unitcost serve --sample --listen 127.0.0.1:9488

demo: .make/venv .make/servers ## The sample company with 90 days of history in a real Prometheus and Alertmanager
	$(BIN)/python -m demo $(DEMO)

test: .make/dev .make/servers .make/tools-tried ## Run all tests, against real servers and a browser where they can be had
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

check: .make/dev ## Lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

golden: .make/dev dashboards rules chart ## Write all tracked outputs again: docs/METRICS.md, licences, goldens, pages, rules, chart
	$(BIN)/python -m demo.compose > compose/alertmanager.yml
	$(BIN)/unitcost metrics > docs/METRICS.md
	$(BIN)/python -m tools.licences > docs/licences.md
	$(BIN)/unitcost report --sample --as-of $(AS_OF) > tests/golden/report.txt
	$(BIN)/python tests/golden/make_exposition.py $(AS_OF) > tests/golden/exposition.txt
	$(BIN)/python -m tests.golden.make_chart

dashboards: .make/dev ## Write dashboards/json, the Grafana pages
	$(BIN)/python -m dashboards

rules: .make/dev ## Write rules/prometheus and rules/operator, the recording and alert rules
	$(BIN)/python -m rules

chart: .make/dev ## Write what of helm/unitcost is made: values, their schema, rules and pages
	$(BIN)/python -m helm

bench: .make/dev .make/servers ## Measure speed and memory, as ratios
	$(BIN)/python bench/scrape.py
	$(BIN)/python bench/derive.py
	$(BIN)/python bench/lines.py
	$(BIN)/python -m bench.bill
	$(BIN)/python -m bench.peers
	$(BIN)/python bench/backfill.py
	$(BIN)/python -m bench.pages

engines: .make/engines ## The same bill through DuckDB, Spark and Trino, which need Java; a closer look, not a test
	PYTHONPATH=exporter TRINO_HOME=.make/trino .make/engines/bin/python -W ignore -m bench.engines.compare

# Spark and Trino stay out of .venv: together they are a gigabyte. Trino needs Maven, and TRINO_JAVA to name a Java 25.
.make/engines: .make/dev bench/engines/pom.xml
	$(BIN)/python -m venv $@
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' >$$(echo $@/lib/python3*/site-packages)/unitcost.pth
	$@/bin/pip install --quiet 'pyspark[connect]>=4'
	-mvn -q -f bench/engines/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.make/trino

lock: .make/venv ## Write requirements/, versions and hashes for the image and CI; UPGRADE=--upgrade takes the newest
	tools/setup uv
	PATH=$(CURDIR)/.make/uv/bin:$$PATH tools/lock $(UPGRADE)

image-test: .make/dev .make/tools-tried ## Build the image on Debian's packages, run and measure it; needs root, takes minutes
	tools/setup buildah
	$(BIN)/pytest --image -s tests/stack/test_image.py

release: .make/dev .make/servers ## Make dist/: wheel, sdist, chart, pages and rules, SBOM; each checked in a clean place
	$(BIN)/python -m tools.release $(RELEASE)

audit: .make/dev ## Look for known weaknesses of what requirements/ pins
	for file in requirements/*.txt; do \
	    $(BIN)/pip-audit --progress-spinner off --disable-pip --require-hashes --requirement $$file || exit; \
	done

clean: ## Remove everything that make has made
	rm -rf .venv .make dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.make/venv: pyproject.toml tools/setup
	tools/setup venv
	@mkdir -p .make && touch $@

.make/dev: .make/venv requirements/ci.txt
	tools/setup dev
	@touch $@

# What cannot be had is said, and asked for again the next time: the demo names it, tests that need it are skipped.
.make/servers: tools/setup
	@mkdir -p .make
	@if tools/setup prometheus && tools/setup alertmanager; then touch $@; fi

.make/tools-tried: tools/setup .make/venv
	@lack=; for tool in node azurite curl openssl docker-compose chromium; do tools/setup $$tool || lack=$$tool; done; \
	if [ -z "$$lack" ]; then touch $@; fi
