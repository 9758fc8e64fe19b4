# make install | test | lint | demo | docs | constraints | clean. Everything lives in VENV, made of PYTHON:
# a path or a name; without it the newest of Python 3.10 to 3.13 that is there and runs.
PYTHON  ?=
VENV    ?= .venv
# Processes that test, and what pytest is told beside. Tests of several launchers or ranks take long
# and run where they are asked for: make test TESTS='-m slow'.
WORKERS ?= 2
TESTS   ?= -m 'not slow'
EXTRAS  := lite,tests,export,demo,mim,weights,data
PIP     := $(VENV)/bin/python -m pip --disable-pip-version-check
# The tested set that is in place; newer than all it was made from.
STAMP   := $(VENV)/installed

.PHONY: install test lint demo docs constraints clean python

install: $(STAMP)

# Each time: the environment may be of another Python than PYTHON.
python:
	@sh requirements/python.sh venv '$(VENV)' '$(PYTHON)'

$(STAMP): setup.py pyproject.toml $(wildcard requirements/*) | python
	set -e; \
	version=$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	tested=requirements/constraints-$$version.txt; \
	$(PIP) install --constraint $$tested pip setuptools; \
	$(PIP) install --constraint $$tested --only-binary :all: --no-build-isolation \
		--editable '.[$(EXTRAS)]'; \
	$(PIP) check; \
	cp $$tested $@

# Files of tests side by side, each with one thread: more than one after the other with two.
test: install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

demo: install
	$(VENV)/bin/python tools/demo.py

# Pages and docstrings as a site, in site/. What git holds is copied, so that links between pages stay.
docs: install
	$(PIP) install --quiet --requirement requirements/docs.txt
	rm -rf build/pages
	git ls-files -co --exclude-standard -- '*.md' '*.py' '*.png' '*.cff' '*.yml' | \
		while read -r file; do mkdir -p "build/pages/$$(dirname "$$file")" && cp "$$file" "build/pages/$$file"; done
	$(VENV)/bin/python -m mkdocs build --strict --quiet

# The newest releases for PYTHON, to be tested and committed: make constraints PYTHON=python3.12
constraints:
	rm -rf .venv-newest
	sh requirements/python.sh venv .venv-newest '$(PYTHON)'
	.venv-newest/bin/python requirements/newest.py '$(EXTRAS)'
	rm -rf .venv-newest

clean:
	rm -rf build dist site .mypy_cache *.egg-info .pytest_cache .ruff_cache .hypothesis
	find sesim_mmagic tools tests configs -name __pycache__ -prune -exec rm -rf {} +
