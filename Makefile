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

# The twin's files, as a beamline would have written them, become one labelled store.
FILES := demo/files
STORE := demo/zn13x.zarr
ZEO := $(BIN)/zeoarray
demo: venv
	rm -rf demo
	$(ZEO) twin $(FILES) --preset tiny --seed 1
	$(ZEO) info $(FILES)/169068.nxs
	$(ZEO) ingest $(FILES)/169068.nxs $(STORE) --into xct/i13-2.6um/scan --sidecar $(FILES)/169068.yaml
	$(ZEO) ingest $(FILES)/169065.nxs $(STORE) --into xct/i13-0.325um/scan --sidecar $(FILES)/169065.yaml
	$(ZEO) ingest $(FILES)/k11-43320.nxs $(STORE) --into xct/diad/scan --sidecar $(FILES)/k11-43320.yaml
	$(ZEO) ingest $(FILES)/k11-43322.nxs $(FILES)/k11-43323.nxs $(STORE) --concat z \
	  --into xrdct/100um/scan --beam-size 100um --poni $(FILES)/diad-100um.poni \
	  --mask $(FILES)/diad-100um-mask.npy
	$(ZEO) ingest $(FILES)/k11-43322_processed.nxs $(FILES)/k11-43323_processed.nxs $(STORE) --concat z \
	  --into xrdct/100um/sinogram --beam-size 100um
	$(ZEO) ingest $(FILES)/13X.asc $(STORE) --into powder/13X
	$(ZEO) ingest $(FILES)/Zn13X.asc $(STORE) --into powder/Zn13X
	$(ZEO) info $(STORE)
	$(ZEO) verify $(STORE)
	@echo
	@echo "The store is $(STORE); what is true of the sample is in $(FILES)/truth.zarr."
	@echo "Look at it:  $(BIN)/python -c \"import zeoarray; print(zeoarray.open('$(STORE)'))\""

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
	$(BIN)/python -c "from zeoarray import schema; print(schema.reference())" > docs/reference/data_model.md
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv demo site
