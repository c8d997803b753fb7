# Everything a newcomer needs: make run, make test. Set-up happens once, in .venv.
PYTHON ?= python3
BIN := .venv/bin
SAMPLE ?= data/sample
OUT ?= runs/sample
EXTRAS := dev,edge,lighter,openvino,search

.PHONY: setup run test test-slow test-ray notebooks badges bench faults fuzz lint clean
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

# Ray brings pyarrow, which changes how pandas holds strings: an environment of its own over the packages of .venv, its
# pip and setuptools among them (a setuptools as old as Python's own would not do for torch).
test-ray: setup
	test -x .venv-ray/bin/python || $(BIN)/python -m venv --without-pip .venv-ray
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > $$(.venv-ray/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/over.pth
	export LIVESTOCK_YOLOV5=$$($(BIN)/python -c "from livestock_utils import install; print(install.yolov5_folder())") \
	  && .venv-ray/bin/python -m livestock_utils.install --extras ray \
	  && .venv-ray/bin/python -m pytest -n 0 -m slow tests/test_ray_engine.py

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: setup
	$(BIN)/python -m livestock_utils.show.pipeline.pairing --execute
	$(BIN)/python benchmarks/draw_readme.py --run runs/sample

badges: setup
	$(BIN)/python -m livestock_utils.show.pipeline.pairing --repository $(REPO)

bench: setup
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

faults: setup
	$(BIN)/python tests/faults/harness.py
	$(BIN)/python tests/faults/everywhere.py

fuzz: setup
	$(BIN)/python tests/fuzz/fuzzer.py

clean:
	rm -rf .venv .venv-ray build *.egg-info .pytest_cache .mypy_cache .ruff_cache
