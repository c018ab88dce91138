# tracekit. Every target makes or repairs .venv first, so that it works right after `git clone`.
# Paths are relative, so that a clone may lie anywhere, also where a folder's name has a space.

# The Python that makes .venv. (PYTHON is the Python that is measured.)
BOOTSTRAP_PYTHON ?= python3

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

# Would make .venv/bin/python look for its library elsewhere.
unexport PYTHONHOME

.DEFAULT_GOAL := help
.SUFFIXES:
# One step at a time also under -j: measurements would disturb each other.
.NOTPARALLEL:
.PHONY: help setup setup-dev trace claims report view doctor test test-all lint check bench accuracy predictions golden docs lock clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  %-11s %s\n' "$$name" "$$text"; done

setup: ## make or repair .venv (the other targets do it by themselves)
	@$(BOOTSTRAP_PYTHON) -I bootstrap/venv.py runtime

setup-dev:
	@$(BOOTSTRAP_PYTHON) -I bootstrap/venv.py dev

trace: setup ## measure WORKLOAD=matmul under each model [MODELS WORKERS SIZE CAPTURE RUNS PYTHON ARGS]
	@$(TRACEKIT) run '$(WORKLOAD)' $(OPTIONS) $(ARGS)

claims: setup ## put what is said of threads and processes to the test, in under 3 minutes
	@$(TRACEKIT) run claims $(ARGS)

report: setup ## write the report of SUITE=latest
	@$(TRACEKIT) report '$(SUITE)'

view: setup ## show SUITE=latest on a timeline in the browser
	@$(TRACEKIT) view '$(SUITE)'

doctor: setup ## say what this machine can measure, and what would enable the rest
	@$(TRACEKIT) doctor

test: setup-dev ## run the tests [ARGS: more for pytest]
	@$(VENV_PYTHON) -I bootstrap/browser.py $(REQUIRE_BROWSER)
	@$(VENV_PYTHON) -m pytest -m 'not measures' --numprocesses logical --dist worksteal $(ARGS); parallel=$$?; \
	$(VENV_PYTHON) -m pytest -m measures $(ARGS); alone=$$?; \
	case $$parallel,$$alone in 0,0 | 0,5 | 5,0) ;; *) exit 1 ;; esac

test-all: ## the tests with what takes long: whole suites on every Python, every start of the claims
	@$(MAKE) --no-print-directory test ARGS='--thorough $(ARGS)'

lint: setup-dev ## check format, rules, types, imports and the generated docs
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

check: lint test ## everything that has to hold before a commit: lint, then test

bench: setup-dev ## measure tracekit itself
	@$(VENV_PYTHON) tests/bench/run.py $(ARGS)

accuracy: setup ## compare with programs whose answers are known and with the kernel; writes docs/accuracy.json [ARGS]
	@$(VENV_PYTHON) -m tracekit.accuracy $(or $(ARGS),--output docs/accuracy.json)

predictions: setup ## compare predicted walls with measured ones; writes docs/predictions.json [ARGS]
	@$(VENV_PYTHON) -m tracekit.accuracy.predictions $(or $(ARGS),--output docs/predictions.json)

golden: setup-dev ## accept what the golden tests see now; look at the diff before committing
	@$(VENV_PYTHON) -m pytest tests/golden --accept $(ARGS)

docs: setup-dev ## write the generated parts of docs/
	@$(VENV_PYTHON) docs/generate.py

lock: ## write the locks from pyproject.toml [ARGS=--upgrade: newest versions]
	@$(BOOTSTRAP_PYTHON) -I bootstrap/lock.py $(ARGS)

clean: ## remove runs, reports and caches
	@rm -rf .tracekit .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find reports -mindepth 1 -maxdepth 1 ! -name example -exec rm -rf {} + 2>/dev/null || true
	@find bootstrap docs tests tracekit workloads -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf .venv .venv.lock
