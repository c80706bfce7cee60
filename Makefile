# Every target sets up what it needs: `make help` says what they do, CONTRIBUTING.md how they fit together.
SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
FUZZ_SECONDS ?= 60
VENV := .venv/bin
export PATH := $(CURDIR)/$(VENV):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
export PYO3_PYTHON := $(CURDIR)/$(VENV)/python
# An empty variable would stop the interpreter from keeping byte code: every start would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH

# The module that is built into the checkout: the one of `.venv/.native` is there seconds after an edit, that of
# `.venv/.native-release` is what is shipped. CI tests the latter, and it alone is measured.
NATIVE := .venv/.native$(if $(CI),-release)
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust/src -type f)

.PHONY: help run test crash test-windows bench lint fuzz wheels docs coverage clean

help: ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: $(NATIVE) ## Run the demo: Windows programs into a layer and back (DIR=... takes your own)
	winlayers demo $(DIR)

test: $(NATIVE) ## Test the Rust core (no Python needed), then the Python package
	cargo test --locked --quiet
	tools/apt.sh python3-samba strace
	pytest

crash: $(NATIVE) ## Kill, refuse or cut the power of every command of the store at every call to the system (long)
	tools/apt.sh strace
	CRASH_SAMPLE=0 pytest tests/store/test_crash.py tests/store/test_power_loss.py

test-windows: .venv/.ready ## Build for Windows and test in a Windows Python under Wine (Debian)
	tools/windows/test.sh

bench: .venv/.ready ## Measure against other tools, side by side
	python benches/run.py

lint: $(NATIVE) ## Check format, lints, types, licences, and the core for Windows
	tools/lint.sh

fuzz: .venv/.ready ## Run every fuzz target for FUZZ_SECONDS (60), two at a time (ONLY=name for one)
	tools/fuzz.sh $(FUZZ_SECONDS) $(ONLY)

wheels: .venv/.ready ## Build and check the wheels (Linux, Windows) and the source distribution in dist/
	tools/wheels.sh $(WHEELS)

docs: $(NATIVE) ## Build the API pages of both languages into target/doc and target/pydoc
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	pdoc winlayers --output-directory target/pydoc

coverage: $(NATIVE) ## Report what the tests reach, of the Rust core and of the Python package
	tools/coverage.sh

clean: ## Remove all that was built, and the virtual environment
	rm -rf .venv dist target fuzz/target python/winlayers/_native.*.so python/winlayers/_native*.pyd

.venv/.ready: requirements-dev.txt
	PYTHON='$(PYTHON)' tools/venv.sh

# Both modules have the same place: the stamp of the other goes first.
.venv/.native: .venv/.ready $(SOURCES)
	rm -f $@-release
	PIP_QUIET=1 maturin develop --profile native --locked --quiet --target-dir target/py
	touch $@

.venv/.native-release: .venv/.ready $(SOURCES)
	rm -f .venv/.native
	PIP_QUIET=1 maturin develop --release --locked --quiet --target-dir target/py
	touch $@
