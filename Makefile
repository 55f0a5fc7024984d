# make demo   the whole path on embedded data: train, export, build, flash, bench, run, report
# make test   all tests and checks
# make test-install  a stock environment by README's install line, and a bare one: every verb
# make docs   the documentation as a site, in site/ (a test builds it too)
# make setup  what both need: Debian packages, .venv, Python packages (a second call takes seconds)
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
APT := gcc gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm clang-format

.PHONY: demo test test-install setup apt lint format docs clean

demo: setup
	$(BIN)/mcu-hybrid demo --out runs/demo

test: setup lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-install: apt
	$(PYTHON) tools/test_install.py

setup: apt $(STAMP)

# Named before anything is installed; without root the exact command is printed instead.
apt:
	@sh tools/apt_install.sh $(APT)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: $(PYTHON) not found (set PYTHON=...)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV) (pins: constraints.txt); some minutes the first time"
	$(BIN)/python -m pip install -q --disable-pip-version-check "setuptools>=77" wheel
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@sh tools/clang_format.sh --check

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@sh tools/clang_format.sh --fix

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf build dist site *.egg-info runs .pytest_cache .mypy_cache .ruff_cache
