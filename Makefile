# make install | test | lint | demo | clean. Everything lives in .venv; PYTHON chooses its Python.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
# Processes that test.
WORKERS ?= 2
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check
# Newer than all it was made from: the pinned set is in place.
STAMP  := $(VENV)/installed

.PHONY: install test lint demo clean

install: $(STAMP)

$(STAMP): setup.py pyproject.toml $(wildcard requirements/*.txt)
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found: set PYTHON=/path/to/python"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint requirements/constraints.txt setuptools wheel
	$(PIP) install --constraint requirements/constraints.txt --editable '.[lite,tests,export,demo,mim]'
	touch $@

# Files of tests side by side, each with one thread: more than one after the other with two.
test: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

demo: install
	$(VENV)/bin/python tools/demo.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find sesim_mmagic tools tests configs -name __pycache__ -prune -exec rm -rf {} +
