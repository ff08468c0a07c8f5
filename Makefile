# Two commands do all set-up: `make channel` (the main job) and `make test`.
# Everything lands in .venv, channel/ and the user's cache folder; `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# What `make channel` builds. Lists are separated by commas or spaces.
SUBDIR ?= linux-aarch64
ACCELERATOR ?= cpu
PYTHON ?= 3.11,3.12
TORCH ?=
BASE ?=
OUT ?= channel
# for tests of ARM programs on another machine: a folder with their C library
SYSROOT ?=
# indexes of feedstock.yaml that are asked for what the lock lacks; empty for all
INDEXES ?=
# virtual packages of the machine the packages are solved for, __cuda=13.0
VIRTUAL ?=
# a folder with checkouts of what is not on PyPI
CLIENTS ?=

VENV := .venv
BIN := $(VENV)/bin
PYTHON3 := $(or $(PYTHON3),$(shell for p in python3.13 python3.12 python3.11 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done))
ROOT := $(filter 0,$(shell id -u))
APT := $(shell command -v apt-get)
# Who may install what the tests want of the system: root, and in CI who may become it unasked.
SUDO := $(if $(ROOT),,$(and $(filter true,$(CI)),$(shell sudo -n true 2>/dev/null && echo sudo -n)))
MAY_INSTALL := $(and $(APT),$(or $(ROOT),$(SUDO)))
# What a network may break off is tried again: Debian's lock may be held, and the pip of a new venv
# gives a download up in the middle.
APT_GET := apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10
# A worker takes a file of tests at a time, in their order (the longest first, tests/settings.yaml), so
# that what the tests of a file share is made once; what files share is made by one worker (made_once). Many
# wait for a server or a timer: there is a worker more than there are processors.
WORKERS := $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN || echo 1))
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
again = for pause in 5 30 stop; do $(1) && break; test $$pause != stop && sleep $$pause; done

# what a person has set for their own Python or pytest is not for the programs that run here
unexport $(filter PYTHON% PYTEST%,$(.VARIABLES))

.PHONY: help channel update check test prove clients lint format docs schemas constraints bytecode emulator servers browser clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# what nobody knows would be passed over: `make channel PYTHONS=3.12` builds for other Pythons
KNOWN := SUBDIR ACCELERATOR PYTHON TORCH BASE OUT SYSROOT VIRTUAL INDEXES PYTHON3 CLIENTS CI
UNKNOWN := $(filter-out $(KNOWN),$(foreach v,$(.VARIABLES),$(if $(findstring command line,$(origin $v)),$v)))
$(if $(UNKNOWN),$(error $(UNKNOWN): no such setting; there are $(KNOWN)))

channel: $(VENV)/.installed ## build a channel folder: SUBDIR= ACCELERATOR= PYTHON= TORCH= BASE= OUT= SYSROOT= VIRTUAL= INDEXES=
	@$(BIN)/armtorch up --subdir '$(or $(SUBDIR),linux-aarch64)' --accelerator '$(or $(ACCELERATOR),cpu)' $(if $(PYTHON),--python '$(PYTHON)') \
	  $(if $(TORCH),--torch '$(TORCH)') $(if $(BASE),--base '$(BASE)') --out '$(or $(OUT),channel)' \
	  $(if $(SYSROOT),--sysroot '$(SYSROOT)') $(if $(INDEXES),--indexes '$(INDEXES)') $(foreach v,$(VIRTUAL),--virtual '$(v)')

update: $(VENV)/.installed ## look for newer releases; writes the lock and what is rendered from it: INDEXES=
	$(BIN)/armtorch update $(if $(INDEXES),--indexes '$(INDEXES)')
	$(BIN)/armtorch render

test: $(VENV)/.test-installed bytecode emulator servers browser ## unit, integration and emulated end-to-end tests
	@$(MAKE) --no-print-directory lint
	$(PYTEST)

check: $(VENV)/.test-installed bytecode ## lint and unit tests: a minute, and no network once .venv is there
	@$(MAKE) --no-print-directory lint
	$(PYTEST) tests/unit

prove: $(VENV)/.test-installed bytecode emulator servers browser ## the full counts, and the benchmarks whose figures are committed
	ARMTORCH_TEST_COUNTS=prove $(PYTEST)
	$(BIN)/python -m benchmarks --out benchmarks/results.json
	$(BIN)/python -m benchmarks table
	$(BIN)/python -m benchmarks backtest
	$(BIN)/python -m benchmarks backtest-table
	$(BIN)/python -m benchmarks month

clients: $(VENV)/.test-installed ## conda and conda-smithy for the tests that ARMTORCH_CLIENTS=CLIENTS runs: CLIENTS=
	@test -n '$(CLIENTS)' || { echo "CLIENTS= names a folder with checkouts; see docs/conda-smithy.md"; exit 1; }
	$(BIN)/python -m tests.clients '$(CLIENTS)'

lint: $(VENV)/.test-installed ## ruff, mypy strict, import-linter, the workflows' schema, actionlint and zizmor
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/actionlint .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows

format: $(VENV)/.test-installed ## put the code into ruff's format
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

docs: $(VENV)/.test-installed ## run the README's transcripts anew and write them into it
	$(BIN)/python -m tests.transcripts

schemas: $(VENV)/.installed ## write docs/*.schema.json anew from the model
	$(BIN)/armtorch schemas

# A fresh Debian has python3 without venv: that is the one system package `make channel` may need.
$(VENV)/bin/python:
	@test -n '$(PYTHON3)' || { echo 'Python 3.11 or newer is needed, and none was found.' >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip' 2>/dev/null || { \
	  test -n '$(ROOT)' -a -n '$(APT)' && $(APT_GET) update -q && $(APT_GET) install -qy python3-venv; } \
	  || { echo 'python3-venv is needed: sudo apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON3) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@$(call again,$(PIP_INSTALL) --editable .)
	@touch $@

# Constrained, so that a newer linter or test tool does not break a checkout that was sound. A mirror
# may lack one of those versions, or this Python.
$(VENV)/.test-installed: pyproject.toml tests/constraints.txt $(VENV)/.installed
	@install="$(PIP_INSTALL) --editable .[test,lint]"; \
	{ $(call again,$$install --constraint tests/constraints.txt); } \
	  || { echo 'the versions of tests/constraints.txt cannot be had; taking others' >&2; \
	       $(call again,$$install); }
	@touch $@

constraints: $(VENV)/.installed ## take the newest versions for make test, into tests/constraints.txt
	$(BIN)/python -m tests.constrain

# A test's processes write none, and hundreds of them start armtorch. Known by the texts' digests, so
# that what is compiled is taken in a clone, too.
bytecode: $(VENV)/.test-installed
	@$(BIN)/python -m compileall -q --invalidation-mode checked-hash generator

# ARM binaries run under qemu-user. Without root or apt the tests that need it are skipped with the
# reason, and the summary counts them; with CI=true its absence is a failure.
emulator: ## install qemu-user, registered with the kernel, and a cross compiler (root, Debian)
	@if test -n '$(MAY_INSTALL)'; then $(SUDO) bash tests/emulator.sh; \
	else echo 'emulator: not root on Debian, so emulated tests run only where qemu is there'; fi

# nginx serves published channels and Chromium opens their page; without them those tests are skipped.
servers: ## install nginx and Chromium for the tests (root, Debian)
	@if test -n '$(MAY_INSTALL)'; then $(SUDO) bash tests/servers.sh; \
	else echo 'servers: not root on Debian, so tests with nginx and Chromium run only where they are there'; fi

# Ubuntu has Chromium as a snap only, so in CI playwright brings its own.
browser: $(VENV)/.test-installed servers ## install Chromium for the tests where the system has none (CI)
	@test '$(CI)' != true || command -v chromium >/dev/null \
	  || $(BIN)/python -m playwright install $(if $(MAY_INSTALL),--with-deps) chromium

clean: ## remove what the targets made, but not the caches
	rm -rf $(VENV) channel output .armtorch wheelhouse
