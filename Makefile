# Everything a newcomer needs: make run, make test. Set-up happens once, in .venv.
PYTHON ?= python3
BIN := .venv/bin
SAMPLE ?= data/sample
OUT ?= runs/sample
EXTRAS := dev,edge,search

.PHONY: setup run test test-slow notebooks badges bench faults lint clean
.DEFAULT_GOAL := run

setup: .venv/.ready

.venv/.ready: requirements.txt extras.txt requirements.lock setup.py livestock_utils/install.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m livestock_utils.install --extras $(EXTRAS) --lock requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

run: setup
	$(BIN)/python -m livestock_utils sample $(SAMPLE)
	$(BIN)/python -m livestock_utils run --data $(SAMPLE) --out $(OUT) --profile sample

test: setup lint
	$(BIN)/python -m pytest -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: setup
	$(BIN)/python -m livestock_utils.pairing --execute

badges: setup
	$(BIN)/python -m livestock_utils.pairing --repository $(REPO)

bench: setup
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

faults: setup
	$(BIN)/python tests/faults/harness.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
