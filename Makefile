# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3.11
HASS_PYTHON ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BESIDE := tests/contract/test_pure.py
FOREIGN := tests/contract/test_foreign_servers.py tests/contract/test_foreign_boards.py
SOURCES := $(shell find ext -name '*.p[xy][xdi]') $(wildcard panelctl/core/decide/*.py panelctl/*/*_text.py) \
  panelctl/core/state/layout.py panelctl/core/state/scratch.py panelctl/model/reason.py \
  panelctl/model/relay.py tools/rules.py setup.py pyproject.toml

.PHONY: demo test lint broker foreign hass bench baseline sanitize storm campaign build clean setup

demo: setup
	@$(BIN)/panelctl demo $(ARGS)

# What computes runs on all cores; what waits, for wires and for whole panels in real time, many at
# a time, and beside it, with what it leaves of the machine, everything once more interpreted; what
# counts the cycles that a busy machine costs, alone; what makes the machine busy, last.
test: setup lint broker foreign
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest tests --ignore tests/bus --ignore tests/e2e $(FOREIGN:%=--ignore %) \
	  $(BESIDE:%=--ignore %) -m 'not long' -n auto --dist worksteal
	@mkdir -p build; nice -n 19 $(BIN)/python -m pytest $(BESIDE) -m 'not long' >build/beside.log 2>&1 & \
	  beside=$$!; trap 'kill $$beside; exit 130' INT TERM; \
	  $(BIN)/python -m pytest tests/bus $(FOREIGN) tests/e2e -m 'not alone' -n 20 --dist loadgroup; \
	  waits=$$?; wait $$beside; beside=$$?; cat build/beside.log; exit $$((waits | beside))
	$(BIN)/python -m pytest tests/e2e -m 'alone and not loud' -n 2 --dist load --maxschedchunk 1
	$(BIN)/python -m pytest tests/e2e -m loud
endif

# The tests of MQTT use a real broker; Debian's is fetched where there is none.
broker:
	@test -x /usr/sbin/mosquitto || command -v mosquitto >/dev/null || \
	  { echo "installing mosquitto"; apt-get update -qq && apt-get install -y -qq mosquitto; }

# Modbus servers of the npm registry, where there is node; their tests are left out otherwise.
foreign:
	@test -d build/foreign/node_modules || ! command -v npm >/dev/null || \
	  { echo "fetching foreign servers"; mkdir -p build/foreign; \
	    timeout 120 npm install --prefix build/foreign --no-audit --no-fund --silent \
	      --fetch-timeout=20000 --fetch-retries=1 modbus-serial@8 jsmodbus@4 || true; }

# Home Assistant's own schemas over our discovery message; its Python is a newer one than ours.
hass: setup
	test -x build/hass/bin/python || $(HASS_PYTHON) -m venv build/hass
	build/hass/bin/pip install --quiet --disable-pip-version-check 'homeassistant==2025.2.5' 'paho-mqtt==1.6.1'
	HASS_PYTHON=build/hass/bin/python $(BIN)/python -m pytest tests/contract/test_hass.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint ext
	$(BIN)/python -m tools.pages --check

# What runs compiled code, with the address and undefined-behaviour sanitizers: all of it.
sanitize: setup
	$(BIN)/python -m pytest tests/contract/test_sanitizers.py -n auto --dist worksteal

bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m tests.bench $(ARGS)

# Minutes of storms: fixed seeds, a fresh one that is printed, and the rules that would be missed.
storm: setup
	$(BIN)/panelctl storm --seed 1 --seeds 3 --days 0.03 --profile hurricane --out build/storm.json \
	  --junit build/storm.xml --plot build/storm.svg
	$(BIN)/panelctl storm --days 0.03 --profile hurricane --out build/storm-fresh.json
	$(BIN)/python -m tests.storm.mutants build/storm.json

campaign: setup
	$(BIN)/panelctl campaign --panel fixtures/panels/home_100a.toml --home fixtures/homes/ochre_winter.toml \
	  --days 2000 --out build/campaign.json $(ARGS)

# Decide a million steps, 22 storms and three homes again, and count what differs from the recording.
baseline: setup
	$(BIN)/python -m tests.baseline

build: setup
	$(BIN)/python -m build --outdir build/dist .

setup: $(STAMP)

# A package that must be compiled needs the headers of the Python that compiles it; Debian's minimal
# Python has neither them nor venv. They are only fetched where they are missing.
$(STAMP): $(SOURCES)
	@missing=""; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3.11-venv"; \
	$(PYTHON) -c 'import os, sysconfig as s, sys; sys.exit(not os.path.exists(os.path.join(s.get_paths()["include"], "Python.h")))' \
	  || missing="$$missing python3.11-dev"; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; apt-get update -qq && apt-get install -y -qq $$missing; \
	fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing panelctl into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +
	find panelctl -name '*.so' -delete
