# Two commands for a newcomer: make demo, make test. Both need Python 3.11 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.PHONY: help venv demo test prove lint bench docs clean

help:
	@echo "make demo   run the main job on the digital twin, and say where its store is"
	@echo "make test   run the test suite"
	@echo "make lint   ruff and mypy --strict"
	@echo "make prove  the tests that take long (kill loops, statistics)"
	@echo "make bench  measure speed and memory beside the peers, into benchmarks/RESULTS.md"
	@echo "make docs   build the documentation into site/"

venv: .venv/.installed

.venv/.installed: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" || \
	  { echo "zeoarray needs Python 3.11 to 3.13; choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

# A tomography scan and diffraction frames of the twin become a labelled store.
demo: venv
	rm -rf demo
	$(BIN)/zeoarray twin demo/files --preset tiny --seed 1
	$(BIN)/python -m zeoarray.twin.demo demo

test: venv
	$(BIN)/python -m pytest -n $(JOBS)

prove: venv
	$(BIN)/python -m pytest -m prove --timeout 0

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python -m benchmarks

docs: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv demo site
