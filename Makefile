# The verbs of the project. All of them work from a clean clone: the first one to run sets up .venv.
#   make demo     the whole method on a small built-in problem
#   make check    style, types, documents and their pages, and the built wheel in an environment of its own
#   make test     the tests; SLOW=1 adds the slow ones, ARGS="tests/petkit -k loss" passes words on to pytest
#   make pretended-gpu   the tests of a GPU on one that is pretended: devices mixed up, steps that wait; ARGS as of test
#   make bench    measurements, with the naive way beside ours
#   make docs     runs the examples in the documents and docstrings, then builds the pages in build/docs
#   make clean    removes what the others made, .venv too

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := test
.PHONY: demo check lint types wheel test pretended-gpu bench docs examples pages clean

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DOCS_STAMP := .venv/.installed-docs
MARK := $(if $(SLOW),,-m "not slow")
SITE = $(CURDIR)/$(shell cd $(CURDIR) && echo .venv/lib/python*/site-packages)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

demo: $(STAMP)
	$(BIN)/petkit demo

test: $(STAMP)
	$(BIN)/python -m pytest $(MARK) $(ARGS)

check: lint types pages wheel

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

docs: examples pages

# `make test` runs these among all others, so `make check` does not run them again.
examples: $(STAMP)
	$(BIN)/python -m pytest -q tests/test_doctests.py

pages: $(DOCS_STAMP)
	$(BIN)/python -m pytest -q tests/test_docs.py
	$(BIN)/python docs/site/build.py

pretended-gpu: $(STAMP)
	$(BIN)/python -m pytest -p tests.pretended_gpu.plugin $(or $(ARGS),tests/petkit/test_gpu.py)

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The wheel, built from the source archive (so that no left-over build folder can lend it a file), in an environment that has the
# dependencies on its path but not the checkout, and beside it, in a folder that is not the checkout, the tests of what only an installed
# package can break. Only their files are collected: the others import much.
wheel: $(STAMP)
	@away=$$(mktemp -d) && trap 'rm -rf "$$away"' EXIT; \
	$(BIN)/python -m build --no-isolation --outdir "$$away/dist" . > "$$away/build.log" 2>&1 || { cat "$$away/build.log"; exit 1; }; \
	$(BIN)/python -m venv "$$away/venv"; \
	echo "$(SITE)" > "$$("$$away/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dependencies.pth"; \
	"$$away/venv/bin/python" -m pip install --quiet --no-index --no-deps --force-reinstall "$$away"/dist/*.whl; \
	cp -r tests pyproject.toml "$$away"; \
	export PETKIT_DATA="$${PETKIT_DATA:-$(CURDIR)/../shared/data}" PETKIT_EXPECT="$$away/venv" PETKIT_CHECKOUT="$(CURDIR)"; \
	cd "$$away" && venv/bin/python -P -m pytest -q -m "wheel and not slow" $$(grep -rl --include='*.py' 'mark\.wheel' tests)

# Nothing is compiled beforehand: most modules of the dependencies are never imported.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "make: no $(PYTHON) here; petkit needs Python 3.11 or later, say: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"make: $(PYTHON) is Python {v}, petkit needs 3.11 or later; name another: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt "setuptools>=77"
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	@touch $@

# What only the pages need; the other verbs do not wait for it.
$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --no-build-isolation --editable ".[docs]"
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-run test.log check.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
