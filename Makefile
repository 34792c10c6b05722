# Development targets. Using mcpwall needs none of this: copy mcpwall.py and run it.
PYTHON ?= python3
VENV   ?= .venv

.PHONY: help test fuzz interop bench profile soak accuracy diff sections lint types rules demo check coverage release clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  \1\t/' | expand -t 14

test:  ## run all tests (nothing to install)
	$(PYTHON) -m tests

fuzz:  ## run the fuzzers for longer (seconds each: FUZZ=30)
	MCPWALL_FUZZ=$(or $(FUZZ),30) $(PYTHON) -m tests -k fuzz -k property -k random

interop:  ## drive real MCP clients and servers through the wall (installs them into tests/interop/.work)
	$(PYTHON) tests/interop/run.py

bench:  ## speed next to a bare pipe, and growth with size, rules and strings
	$(PYTHON) tests/bench.py

profile:  ## where the time of a call goes
	$(PYTHON) tests/bench.py --profile

soak:  ## a million mixed calls through one wall
	$(PYTHON) tests/bench.py --soak

accuracy:  ## recall and false positives on labelled and generated traffic
	$(PYTHON) tests/accuracy.py

diff:  ## every line that another version treats differently (OLD=path of its mcpwall.py)
	$(PYTHON) tests/diff.py $(OLD)

sections:  ## what each section can do, and how many lines of code it has
	$(PYTHON) tests/sections.py

$(VENV)/tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check ruff==0.14.5 mypy==1.19.1 coverage==7.10.7
	touch $@

lint: $(VENV)/tools  ## ruff
	$(VENV)/bin/ruff check mcpwall.py tests

types: $(VENV)/tools  ## mypy
	$(VENV)/bin/mypy

coverage: $(VENV)/tools  ## line and branch coverage of the tests
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m unittest discover -s tests -t .
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

rules:  ## render default_rules.json from the module
	@$(PYTHON) -c 'import sys, mcpwall; sys.stdout.write(mcpwall.render_default_rules())' > default_rules.json.new
	@mv default_rules.json.new default_rules.json

demo:  ## see it block, allow and redact
	$(PYTHON) mcpwall.py demo

check: test lint types  ## what must hold before a commit

release:  ## dist/ with the one file and its checksum
	mkdir -p dist
	cp mcpwall.py LICENSE dist/
	cd dist && $(PYTHON) mcpwall.py --checksum > SHA256SUMS

clean:  ## remove what the targets made
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .coverage .coverage.* tests/interop/.work
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
