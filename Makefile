# From nothing but python3.11, pip and make: `make demo` shows it, `make test` tests it, `make check` reads it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-browser check docs package attacks faults properties fuzz clean

help:
	@echo "make demo     encode, inspect, decode and validate a real map; results in demo/"
	@echo "make test     run the tests"
	@echo "make test-browser  run nmap view in a real browser, and the JavaScript reader in Node"
	@echo "make check    ruff (lint and format) and mypy --strict"
	@echo "make docs     rewrite docs/cli.md and docs/validate-schema.json from what the code says"
	@echo "make package  build sdist and wheel, check them, and use the wheel in an empty environment"
	@echo "make attacks  what each class of hostile file costs, as a table"
	@echo "make faults   kills, signals, full disks, changed inputs and little memory for every command that writes"
	@echo "make properties  the properties of maps and files on fifty times as many examples"
	@echo "make fuzz     fuzz every reader for FUZZ_S seconds (60) each, by atheris"
	@echo "make clean    remove what these made, the environment in $(VENV) included"

$(READY): pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (once; torch is the large one)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,bench,dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/demo.py demo

# Compiled modules are kept, whatever the environment says: a hundred processes are started in the tests.
test: $(READY)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# Chromium and Node come from the system's packages where they are not there; the rest from npm.
test-browser: $(READY)
	@command -v node chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium nodejs npm)
	@cd tests/browser && npm install --no-fund --no-audit --no-package-lock --silent
	@node --test viewer/test/
	@node --test tests/browser/words.test.mjs tests/browser/view.test.mjs

check: $(READY)
	@echo "== ruff check";  $(BIN)/ruff check .
	@echo "== ruff format"; $(BIN)/ruff format --check .
	@echo "== mypy --strict"; $(BIN)/mypy

docs: $(READY)
	@$(BIN)/python docs/make_cli_reference.py
	@$(BIN)/python docs/make_validate_schema.py

package: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	@rm -rf dist && $(BIN)/python -m build
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/python .ci/package.py dist

attacks: $(READY)
	@PYTHONPATH=tests $(BIN)/python -W ignore -m attacks.cost

faults: $(READY)
	@PYTHONPATH=tests $(BIN)/python -W ignore -m faults

properties: $(READY)
	@NMAP_HYPOTHESIS=long $(BIN)/python -m pytest -q tests/maps/test_map_properties.py tests/container/test_file_properties.py

fuzz: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@$(BIN)/python -m fuzz

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
