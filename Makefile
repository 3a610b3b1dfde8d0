# The manual is `make help`, made from the comments behind two hashes.

PYTHON ?=
AIRFLOW_PORT ?= 8080
PG_PORT ?= 5433
SIMULATOR_PORT ?= 8090
RUN_DIR ?= .run
N ?= 20
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.requirements-installed
TEST_READY := $(VENV)/.test-requirements-installed
BENCH := $(VENV)/bench
BENCH_READY := $(BENCH)/.requirements-installed

export O2O_AIRFLOW_PORT := $(AIRFLOW_PORT)
export O2O_PG_PORT := $(PG_PORT)
export O2O_SIMULATOR_PORT := $(SIMULATOR_PORT)
export O2O_RUN_DIR := $(RUN_DIR)

DEMO := PYTHONPATH=include $(BIN)/python -m demo
# With JOBS=2, the tests with an Airflow go one after the other, and the rest beside them.
JOBS ?= 0
IN_PARALLEL := --numprocesses $(JOBS) --dist loadgroup
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run people mend stop status clean up down secrets test faults bench bench-full screenshots check fmt lock

##@ Run
run: $(READY) ## start everything and run the DAG once; stays until Ctrl-C
	@$(DEMO) run $(ARGS)

people: $(READY) ## add N interested people to the demo's HR warehouse
	@$(DEMO) people --count $(N)

mend: $(READY) ## correct the bad rows in the demo's HR warehouse
	@$(DEMO) mend

status: $(READY) ## say what runs, and where
	@$(DEMO) status || test $$? -eq 3

stop: $(READY) ## stop what `make run` started, from another terminal
	@$(DEMO) stop

clean: ## delete the demo's data and logs; refuses while it runs
	@if [ -x $(BIN)/python ]; then $(DEMO) clean; else rm -rf "$(RUN_DIR)"; fi

# As Docker Compose finds it: in the environment, in .env, or by default.
SECRETS = $(or $(O2O_SECRETS_DIR),$(shell sed -n 's/^O2O_SECRETS_DIR=//p' .env 2>/dev/null | tail -n 1 | tr -d "\"'"),.secrets)

##@ Several machines
up: secrets ## docker compose up: Airflow with Celery workers, as .env says (docs/deploy.md)
	@test -e .env || { cp docs/deploy/env.example .env && echo "Made .env from docs/deploy/env.example."; }
	docker compose up --build --detach
	@echo "Airflow: http://localhost:8080 unless .env says otherwise; user admin, password in $(SECRETS)/admin_password"

down: docker ## docker compose down: stop it; data and secrets stay
	docker compose --profile demo down

secrets: docker ## make up the passwords that docker compose up needs, in .secrets or where .env says; keeps what is there
	@mkdir -p -m 700 "$(SECRETS)"
	@SECRETS_USER="$$(id -u):$$(id -g)" docker compose run --rm --build secrets

.PHONY: docker
docker:
	@docker compose version >/dev/null 2>&1 || { \
	    echo "This needs Docker with its Compose plugin. Without Docker: make run" >&2; exit 2; }

##@ Develop
setup: $(READY) ## make .venv and install what the project needs

test: $(TEST_READY) ## run the tests; ARGS="-k window" picks some
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

faults: $(TEST_READY) ## kill, cut and starve it hundreds of times; prints who was lost or mailed twice
	@PYTHONPATH=include:plugins:. $(BIN)/python -m tests.faults $(ARGS)

bench: $(BENCH_READY) ## measure it beside what others do, in ten minutes; plot and data go to docs/
	@PYTHONPATH=include:plugins:. $(BIN)/python -m benchmarks --python $(BENCH)/bin/python $(ARGS)

bench-full: ARGS += --full
bench-full: bench ## the same with a million people and ten million registrations, in an hour

screenshots: $(TEST_READY) ## take the pictures in docs/ anew
	@PYTHONPATH=include:plugins:. $(BIN)/python -m tests.e2e.screenshots

check: $(TEST_READY) ## lint, formatting, types, lock files, unit tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict include plugins
	@$(MAKE) --no-print-directory lock-check
	$(BIN)/python -m pytest --numprocesses 2 -m "not integration and not e2e" $(ARGS)

fmt: $(TEST_READY) ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(TEST_READY) ## pin requirements.txt and tests/requirements.txt anew from pyproject.toml
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) --group test --constraint requirements.txt -o tests/requirements.txt

.PHONY: lock-check
lock-check: $(TEST_READY)
	@cp requirements.txt $(VENV)/lock.txt && cp tests/requirements.txt $(VENV)/test-lock.txt
	@$(LOCK) pyproject.toml -o $(VENV)/lock.txt
	@$(LOCK) --group test --constraint requirements.txt -o $(VENV)/test-lock.txt
	@cmp -s requirements.txt $(VENV)/lock.txt && cmp -s tests/requirements.txt $(VENV)/test-lock.txt || \
	    { echo "requirements.txt or tests/requirements.txt no longer fits pyproject.toml: run 'make lock'."; exit 1; }

setup-test: $(TEST_READY)

##@ Variables
##  AIRFLOW_PORT    Airflow's port (8080)
##  PG_PORT         PostgreSQL's port (5433)
##  SIMULATOR_PORT  the port of the o2o simulator and its mailbox (8090)
##  PYTHON          the Python 3.11, 3.12 or 3.13 that .venv is made with (the first that is found)
##  N               how many people `make people` adds (20)
##  RUN_DIR         where the demo keeps data and logs (.run)
##  JOBS            how many processes the tests run in (0: this one alone)
##  ARGS            further arguments of run, test, faults, bench and check

help: ## show this manual
	@echo "Registers interested employees with o2o. Start with: make run"
	@awk '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	      /^##  / { printf "  %s\n", substr($$0, 5) } \
	      /^[a-z-]+:.* ## / { name = $$1; sub(":", "", name); text = $$0; sub(/^.* ## /, "", text); \
	                          printf "  %-14s  %s\n", name, text }' $(firstword $(MAKEFILE_LIST))

$(BIN)/python:
	@python=""; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	    if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	        python="$$candidate"; break; fi; done; \
	if [ -z "$$python" ]; then \
	    echo "This needs Python 3.11, 3.12 or 3.13; $(if $(PYTHON),$(PYTHON) is,python3 is) $$($(if $(PYTHON),$(PYTHON),python3) --version 2>&1 | tail -n 1)." >&2; \
	    echo "Name one with: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3.12" >&2; exit 2; fi; \
	echo "Making .venv with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(READY): requirements.txt | $(BIN)/python
	@echo "Installing requirements.txt into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(TEST_READY): tests/requirements.txt $(READY)
	@echo "Installing tests/requirements.txt into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(BENCH_READY): benchmarks/requirements.txt $(TEST_READY)
	@echo "Installing benchmarks/requirements.txt into $(BENCH)"
	@$(BIN)/python -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
