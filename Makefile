# Everything a fresh machine needs beyond Python 3.11 or 3.12, make and a package index is installed here.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV_VERSION := 0.13.8
BOOTSTRAP := build/bootstrap
UV := $(BOOTSTRAP)/bin/uv
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	if command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; \
	then command -v $$p; break; fi; done)
RUN := .venv/bin
# uv reads its own variables only: an index that pip was told of on this machine is handed to it, and kept nowhere.
INDEX = $${PIP_INDEX_URL:-$$($(BOOTSTRAP)/bin/python -m pip config get global.index-url 2>/dev/null || true)}
UV_RUN = index="$(INDEX)"; if [ -n "$$index" ] && [ -z "$$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX="$$index"; fi; $(UV)

# A module's servers are its own, so modules may run side by side; the scheduler wants the machine to itself.
BESIDE := --numprocesses 2 --dist loadfile

.PHONY: help demo up down test test-fast test-kubernetes test-kubernetes-fast test-spark test-corpora lint \
	bench bench-extract fuzz bench-clean bench-nights bench-near bench-train bench-strategies bench-recipes bench-quality faults \
	images check-locks lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/ready ## set everything up and run the main job (CORPUS=docs, KEEP=1 leaves the stack up)
	@$(RUN)/python -m containers.embedded demo --corpus $(or $(CORPUS),docs)

up: .venv/ready ## start the stack in the background: Airflow, MLflow, S3, the demo site
	@$(RUN)/python -m containers.embedded up

down: .venv/ready ## stop what `make up` started
	@$(RUN)/python -m containers.embedded down

test: .venv/ready lint ## set everything up and run all tests
	$(RUN)/python -m pytest $(BESIDE) tests/unit tests/integration
	$(RUN)/python -m pytest $(BESIDE) tests/e2e

test-fast: .venv/ready lint ## what fails most often, in about two minutes
	$(RUN)/python -m pytest $(BESIDE) tests/unit -m "not slow"

test-kubernetes-fast: SELECT := -m "not slow"
test-kubernetes-fast: test-kubernetes ## those of the tests on a cluster that take about ten minutes

test-kubernetes: .venv/ready ## the tests on the cluster of KUBECONFIG, with NIGHTSHIFT_IMAGE, …_TRAINER_IMAGE and, for Spark, …_SPARK_IMAGE
	@for name in KUBECONFIG NIGHTSHIFT_IMAGE NIGHTSHIFT_TRAINER_IMAGE; do if [ -z "$${!name}" ]; then \
		echo "no $$name: these tests need a cluster (KUBECONFIG) that has both images; see docs/kubernetes.md" >&2; exit 2; \
	fi; done
	$(RUN)/python -m pytest $(SELECT) tests/kubernetes

test-corpora: .venv/ready ## clusters, docs, images, imports, summaries, table, tags, text, and three strategies, on Airflow; takes long
	$(RUN)/python -m pytest tests/corpora

test-spark: .venv/ready build/spark/ready ## the engines on a real Spark of this machine; installs it (600 MB) and Java below build/
	PYTHONPATH=build/spark $(RUN)/python -m pytest tests/spark

lint: .venv/ready ## format, lint and type checks
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy

bench: .venv/ready ## measure crawl, cleaning and the whole chain in some minutes; writes build/bench/*.json
	$(RUN)/python -m tests.benchmarks

bench-clean: .venv/ready ## cleaning beside datatrove's, one core each, same pages and filters
	$(RUN)/python -m tests.benchmarks.bench_clean

bench-nights: .venv/ready ## what the second night of an unchanged site costs of the first; writes build/bench/nights.json
	$(RUN)/python -m tests.benchmarks.bench_nights

bench-near: .venv/ready ## near-duplicates of up to 10 million documents: memory, seconds, precision, recall
	$(RUN)/python -m tests.benchmarks.bench_near

bench-train: .venv/ready ## measure a training on two cores; writes build/bench/train.json
	$(RUN)/python -m tests.benchmarks.bench_train

bench-strategies: .venv/ready ## mirrored beside parameter servers: staleness, speed, quality; build/bench/strategies.json
	$(RUN)/python -m tests.benchmarks.bench_strategies

bench-recipes: .venv/ready ## each recipe beside a plain script of its library, same split; writes build/bench/recipes.json
	$(RUN)/python -m tests.benchmarks.bench_recipes

bench-quality: .venv/ready ## each recipe on the harder demo corpus beside a plain script; writes build/bench/quality.json
	$(RUN)/python -m tests.benchmarks.bench_quality

faults: .venv/ready ## strike a training down in every way; writes build/faults.json and docs/faults.md
	$(RUN)/python -m tests.faults

bench-extract: .venv/ready ## F1 and docs/s of each extraction (DATA=folder of the article-extraction-benchmark)
	$(RUN)/python -m tests.benchmarks.bench_extract $(DATA)

fuzz: .venv/ready build/fuzz/ready ## poisoned pages and WARC files through cleaning (INPUTS=100000), some chosen by atheris
	$(RUN)/python -m tests.benchmarks.fuzz_clean --inputs $(or $(INPUTS),100000)

lock: $(UV) ## compile requirements.txt anew from pyproject.toml
	@$(UV_RUN) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev \
		pyproject.toml --output-file requirements.txt
	@for image in image pipeline trainer spark; do $(UV_RUN) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --constraint requirements.txt containers/$$image/requirements.in \
		--output-file containers/$$image/requirements.txt; done
	@$(UV_RUN) pip compile --quiet --python-platform x86_64-manylinux_2_28 --python-version 3.11 --generate-hashes --no-header \
		--constraint requirements.txt containers/trainer-gpu/requirements.in \
		--output-file containers/trainer-gpu/requirements.txt
	@$(UV_RUN) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraint containers/spark/requirements.txt tests/spark/requirements.in --output-file tests/spark/requirements.txt
	@$(UV_RUN) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --constraint requirements.txt \
		tests/benchmarks/fuzzing/requirements.in --output-file tests/benchmarks/fuzzing/requirements.txt

check-locks: $(UV) ## see that what each image is made of is on the index, whole and unaltered; installs nothing
	@for image in image pipeline trainer trainer-gpu spark; do \
		$(subst $(UV),containers/image/check-lock $(UV),$(UV_RUN)) containers/$$image/requirements.txt || exit 1; done

images: check-locks ## build the images with docker, podman or buildah (IMAGES="pipeline trainer", or trainer-gpu, or spark)
	@PIP_INDEX_URL="$(INDEX)" containers/image/build $(or $(IMAGES),pipeline trainer)

clean: ## stop the stack, remove the environment and everything that was built
	@test ! -x $(RUN)/python || $(RUN)/python -m containers.embedded down
	rm -rf .venv build

$(UV):
	@if [ -z "$(PYTHON)" ]; then echo "Nightshift needs Python 3.11 or 3.12 on PATH, or: make PYTHON=/path/to/python" >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else \
		"Nightshift needs Python 3.11 or 3.12; $(PYTHON) is %d.%d" % v)'
	$(PYTHON) -m venv $(BOOTSTRAP)
	$(BOOTSTRAP)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

build/fuzz/ready: tests/benchmarks/fuzzing/requirements.txt .venv/ready
	@$(UV_RUN) pip install --quiet --python .venv/bin/python --target build/fuzz/atheris --no-deps --require-hashes --requirement $<
	@touch $@

build/spark/ready: tests/spark/requirements.txt .venv/ready
	@$(UV_RUN) pip install --quiet --python .venv/bin/python --target build/spark --no-deps --require-hashes --requirement $<
	@touch $@

.venv/ready: requirements.txt pyproject.toml | $(UV)
	@test -x .venv/bin/python || $(UV) venv --quiet --python $(BOOTSTRAP)/bin/python .venv
	@echo "installing into .venv (about 3.1 GB)"
	@$(UV_RUN) pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements.txt
	@$(UV) pip install --quiet --python .venv/bin/python --offline --no-deps --no-build-isolation --editable .
	@touch $@
