# make demo   installs into .venv and runs the main job on the shipped default
# make test   installs into .venv and runs the tests
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: install demo demo-real demo-react test test-browser test-slow lint bench clean

install: $(READY)

$(READY): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "diffusionrig needs Python 3.10 to 3.13; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev,studio]"
	touch $(READY)

demo: install
	$(BIN)/diffusionrig demo --output_dir log/demo
	@echo "A page to edit faces by hand: $(BIN)/diffusionrig studio --open"

demo-real: install
	$(BIN)/diffusionrig demo --real True --output_dir log/demo-real

demo-react: install
	$(BIN)/diffusionrig demo --react True --output_dir log/demo-react

# Two processes, each with one thread: more threads would only wait for each other.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# Skipped, with a line that says so, where there is no Chromium.
test-browser: install
	$(BIN)/python -m pytest -m browser tests/studio -rs

test-slow: install
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

# Some benchmarks take what the demos leave. Those that need photographs, clips or stores of yours, or an hour of kills, are run by
# hand.
BY_HAND := benchmarks/expressions.py benchmarks/reenactment.py benchmarks/variants.py benchmarks/reliability_kills.py

bench: install
	test -f log/demo/report.json || $(BIN)/diffusionrig demo --output_dir log/demo
	test -f log/demo-react/report.json || $(BIN)/diffusionrig demo --react True --output_dir log/demo-react
	set -e; for script in $(filter-out $(BY_HAND),$(sort $(wildcard benchmarks/*.py))); do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
