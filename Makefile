# Two commands for a newcomer: make demo, make test. Both need Python 3.11 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.PHONY: help venv demo test prove lint bench docs clean

help:
	@echo "make demo   make a simulated sample's files, a store and a report of them (minutes)"
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

# The twin's files, as beamlines would have written them, and everything that is made of them: three
# pipelines on one store. Interrupted, `make demo` goes on where it stopped; `make clean` forgets it.
ZEO := $(BIN)/zeoarray
STORE := demo/zn13x.zarr
demo: venv demo/files/.made
	$(ZEO) plan pipelines/demo.yaml
	$(ZEO) run pipelines/demo.yaml
	$(ZEO) run pipelines/correlate.yaml
	$(ZEO) run pipelines/patches.yaml
	$(ZEO) patches check $(STORE)
	$(ZEO) verify $(STORE)
	$(ZEO) report $(STORE) -o demo/report.html
	@echo
	@echo "The report is demo/report.html: open it in a browser."
	@echo "The store is  $(STORE): $(BIN)/python -c \"import zeoarray; print(zeoarray.open('$(STORE)'))\""
	@echo "What is true of the sample is in demo/files/truth.zarr; docs/tutorial.md goes on from here."

demo/files/.made: | .venv/.installed
	rm -rf demo
	$(ZEO) twin demo/files --preset small --seed 1
	@touch $@

test: venv
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

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
	$(BIN)/python -c "from zeoarray import schema; print(schema.reference())" > docs/reference/data_model.md
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv demo site
