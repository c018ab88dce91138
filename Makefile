# tracekit. Every target makes or repairs .venv first, so that it works right after `git clone`.
# Paths are relative, so that a clone may lie anywhere, also where a folder's name has a space.

# The Python that makes .venv. (PYTHON is the Python that is measured.)
BOOTSTRAP_PYTHON ?= python3
# One that was asked for is taken or refused; for the default another on PATH may do.
CHOSEN := $(if $(filter file,$(origin BOOTSTRAP_PYTHON)),,--chosen)

WORKLOAD ?= matmul
SUITE ?= latest
REQUIRE_BROWSER = $(if $(TRACEKIT_REQUIRE_BROWSER),--require)
OPTIONS = $(foreach name,MODELS WORKERS SIZE CAPTURE RUNS PYTHON,$(if $($(name)),$(OPTION_$(name))))
OPTION_MODELS = --models '$(MODELS)'
OPTION_WORKERS = --workers '$(WORKERS)'
OPTION_SIZE = --size '$(SIZE)'
OPTION_CAPTURE = --capture '$(CAPTURE)'
OPTION_RUNS = --runs '$(RUNS)'
OPTION_PYTHON = --python '$(PYTHON)'

TRACEKIT = .venv/bin/tracekit
VENV_PYTHON = .venv/bin/python

# The first would make .venv/bin/python look for its library elsewhere; with the second, which many containers set, every
# command would compile tracekit again, for half a second.
unexport PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.SUFFIXES:
# One step at a time also under -j: measurements would disturb each other.
.NOTPARALLEL:
.PHONY: help setup setup-dev trace claims report view doctor test test-all lint check wheel pythons offsets bench cases programs fuzz kills accuracy predictions golden docs lock clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  %-11s %s\n' "$$name" "$$text"; done

setup: ## make or repair .venv (the other targets do this when needed)
	@$(BOOTSTRAP_PYTHON) -I bootstrap/venv.py runtime $(CHOSEN)

setup-dev:
	@$(BOOTSTRAP_PYTHON) -I bootstrap/venv.py dev $(CHOSEN)

trace: setup ## measure WORKLOAD=matmul under each model [MODELS WORKERS SIZE CAPTURE RUNS PYTHON ARGS]
	@$(TRACEKIT) run '$(WORKLOAD)' $(OPTIONS) $(ARGS)

claims: setup ## test common claims about threads and processes by experiment, in under 3 minutes
	@$(TRACEKIT) run claims $(ARGS)

report: setup ## write the report of SUITE=latest again
	@$(TRACEKIT) report '$(SUITE)'

view: setup ## open the traced runs of SUITE=latest in the trace viewer
	@$(TRACEKIT) view '$(SUITE)'

doctor: setup ## show what can be measured here, and how to enable the rest
	@$(TRACEKIT) doctor

test: setup-dev ## run the tests [ARGS: options of pytest]
	@$(VENV_PYTHON) -I bootstrap/browser.py $(REQUIRE_BROWSER)
	@$(VENV_PYTHON) -m pytest -m 'not measures' --numprocesses $$(( $$(nproc) + 1 )) --dist worksteal --durations=15 $(ARGS); parallel=$$?; \
	$(VENV_PYTHON) -m pytest -m measures --durations=15 $(ARGS); alone=$$?; \
	case $$parallel,$$alone in 0,0 | 0,5 | 5,0) ;; *) exit 1 ;; esac

test-all: ## the tests with what takes long: whole suites on every Python, every start of the claims
	@$(MAKE) --no-print-directory test ARGS='--thorough $(ARGS)'

lint: setup-dev ## check format, rules, types, imports, the generated docs and what the wheel needs
	@echo 'lint: format'
	@.venv/bin/ruff format --check . || { echo '  .venv/bin/ruff format . writes them'; exit 1; }
	@echo 'lint: rules'
	@.venv/bin/ruff check --quiet .
	@echo 'lint: types'
	@.venv/bin/mypy --strict --no-error-summary tracekit workloads bootstrap hatch_build.py
	@echo 'lint: imports'
	@.venv/bin/lint-imports --no-logo
	@echo 'lint: docs'
	@$(VENV_PYTHON) docs/generate.py --check
	@echo 'lint: wheel'
	@$(VENV_PYTHON) -I bootstrap/wheel.py --check

check: lint test ## what must pass before a merge: lint, then test

wheel: setup-dev ## build the two wheels for the index into dist/, and check them
	@$(VENV_PYTHON) -I bootstrap/wheel.py

pythons: setup ## build CPythons to measure, once, into the cache: SOURCE=<its git directory or source> VERSIONS=3.15,3.15t
	@PYTHONPATH=. $(VENV_PYTHON) bootstrap/pythons.py '$(SOURCE)' $(shell printf %s '$(VERSIONS)' | tr ',' ' ')

offsets: setup-dev ## write where CPython keeps what the wait probe reads, from the installed Pythons' headers
	@$(VENV_PYTHON) -m tracekit.measure.probe.write_offsets

bench: setup-dev ## measure tracekit's own costs
	@$(VENV_PYTHON) tests/bench/run.py $(ARGS)

cases: setup-dev ## run the programs of tests/cases and check tracekit's answers [ARGS: names of cases]
	@$(VENV_PYTHON) -m tests.check_cases $(ARGS)

programs: setup-dev ## compare well-known programs of PyPI with and without record, in a venv of their own [ARGS]
	@$(VENV_PYTHON) -m tests.check_programs $(ARGS)

fuzz: setup-dev ## damage the files of a suite in every known way, and check what the commands do [CASES SEED]
	@$(VENV_PYTHON) -m tests.fuzz.damaged_suite --cases $(or $(CASES),300) --seed $(or $(SEED),1)

kills: setup-dev ## kill run and record at random moments under each capture, and check what is left [KILLS SEED]
	@$(VENV_PYTHON) -m tests.fuzz.kills --kills $(or $(KILLS),60) --seed $(or $(SEED),1)

accuracy: setup ## compare with programs whose answers are known, and with the kernel; writes docs/accuracy.json [ARGS]
	@$(VENV_PYTHON) -m tracekit.accuracy $(or $(ARGS),--output docs/accuracy.json)

predictions: setup ## compare predicted walls with measured ones; writes docs/predictions.json [ARGS]
	@$(VENV_PYTHON) -m tracekit.accuracy.predictions $(or $(ARGS),--output docs/predictions.json)

golden: setup-dev ## accept the current outputs as golden; read the diff before you commit it
	@$(VENV_PYTHON) -m pytest tests/golden --accept $(ARGS)

docs: setup-dev ## write the generated parts of docs/ again
	@$(VENV_PYTHON) docs/generate.py

lock: ## write the lock files from pyproject.toml [ARGS=--upgrade: newest versions]
	@$(BOOTSTRAP_PYTHON) -I bootstrap/lock.py $(ARGS)

clean: ## remove runs, reports and caches
	@rm -rf .tracekit .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find reports -mindepth 1 -maxdepth 1 ! -name example -exec rm -rf {} + 2>/dev/null || true
	@find bootstrap docs tests tracekit workloads -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf .venv .venv.lock .venv-wheel
