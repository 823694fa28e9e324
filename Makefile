# Everything runs from .venv, which the first target to need it creates.
# PYTHON=python3.12 make test   chooses the interpreter of a .venv that does not exist yet.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# constraints.txt pins the build environment too: PIP_CONSTRAINT does that in pip before 25.3,
# PIP_BUILD_CONSTRAINT after.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint docs clean
.DEFAULT_GOAL := help

help:  ## say what each target does
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

demo: $(STAMP)  ## train a classifier of movie reviews, and read one review with it
	$(BIN)/gruvy train classify --out demo --overwrite --max-minutes 8
	$(BIN)/gruvy predict demo "A warm, funny film with one scene too many."

test: $(STAMP)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2  # one thread each: four on two cores wait for one another

lint: $(STAMP)  ## check style and types
	$(BIN)/ruff check
	$(BIN)/mypy

docs: $(STAMP)  ## write the equations of the cells to docs/equations.md
	mkdir -p docs
	$(BIN)/gruvy cells --markdown > docs/equations.md

clean:  ## remove the environment, the demo and the caches
	rm -rf .venv build dist demo .pytest_cache .hypothesis .mypy_cache .ruff_cache lightning_logs

# The install is editable: Python sources are read where they are, and a change to what is listed here
# installs (and compiles) again.
$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/gruvy/*/*.cpp src/gruvy/*/*/*.cpp src/gruvy/*/*/*.h)
	@echo "Setting up .venv with $(PYTHON) (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --editable ".[demo,dev]"
	@touch $@
