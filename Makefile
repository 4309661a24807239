# Each target is one line to remember; all of them set up what they need (Debian 12, Python >= 3.11, pip, make).
PY   := .venv/bin/python
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help demo test check fix docs viewer ohif bench acceptance clean run-env test-env

help:            ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

demo: run-env    ## a whole network on this machine: three hospitals and CENTRAL; Ctrl-C stops it
	@$(PY) -m racoon demo $(ARGS)

test: test-env   ## every test, about 20 minutes on two cores
	@$(PY) tools/run_tests.py $(ARGS)

check: test-env  ## format, lint, types, import contracts; under 3 minutes
	@$(PY) tools/check.py

fix: test-env    ## format and repair what the linter can repair
	@ruff format . && ruff check --fix .

docs: test-env   ## the documentation into site/
	@$(PY) tools/build_docs.py

viewer:          ## the third-party modules of the reading room (demo and test build them too)
	@python3 tools/build_viewer.py

ohif: run-env    ## OHIF as a second viewer, for nodes that want it: its published build as a wheel of data
	@$(PY) -m pip install -qq build hatchling
	@$(PY) tools/build_ohif.py

bench: test-env  ## side-by-side benchmarks; each prints a ratio
	@$(PY) tools/run_bench.py

acceptance: test-env ## an issue's whole acceptance list, resumable: make acceptance ISSUE=A
	@$(PY) tools/acceptance.py $(ISSUE)

clean:           ## remove everything that can be made again
	@rm -rf .venv build dist site src/racoon/web/static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache && echo "· clean"

run-env:
	@python3 tools/set_up.py run
	@python3 tools/build_viewer.py --if-possible

test-env:
	@python3 tools/set_up.py test
	@python3 tools/build_viewer.py --if-possible
