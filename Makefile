# Vitrine's verbs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

PYTHON ?= python3.11
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard vitrine/v1/*.proto)
BUF := build/buf/node_modules/.bin/buf
PACKAGES := vitrine catalogue encoders export gateway rewriter stack storefront benchmarks
PRODUCTS ?= 3200
CATALOGUE ?= build/catalogue
REPOSITORY := build/model_repository
WEIGHTS := encoders/weights/small

export ORT_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The page shows pictures of this folder and of no other.
export STOREFRONT_PICTURES ?= $(abspath $(CATALOGUE))

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the pinned environment in .venv

$(VENV)/.ready: requirements/serve.txt requirements/build.txt requirements/test.txt requirements/system.sh
	@requirements/system.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the pinned packages (a few minutes)"
	@$(BIN)/pip install -q --require-hashes -r requirements/serve.txt -r requirements/build.txt -r requirements/test.txt
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install -q $(TORCH)
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Do the main job: build, start, index, search; leaves the service up
	@$(BIN)/python -m catalogue build --out $(CATALOGUE) --products $(PRODUCTS)
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)
	@$(BIN)/python -m stack up
	@$(BIN)/vitrine index --rebuild-if-stale $(CATALOGUE)
	@$(BIN)/vitrine tour --queries $(CATALOGUE)/queries --out build/demo
	@echo "the page to look at: http://127.0.0.1:7730/"

up: setup ## Start the stack: Triton, Milvus Lite, rewriter, gateway, page
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)
	@$(BIN)/python -m stack up

down: ## Stop the stack and leave nothing behind
	@test ! -x $(BIN)/python || $(BIN)/python -m stack down

status: setup ## Show what is up, since when, and why not
	@$(BIN)/python -m stack status

logs: setup ## Show the stack's logs
	@$(BIN)/python -m stack logs

index: setup ## Index a catalogue: make index CATALOGUE=path
	@$(BIN)/vitrine index $(CATALOGUE)

search: setup ## Search: make search QUERY="red floral midi dress"
	@$(BIN)/vitrine search "$(QUERY)"

test: setup lint ## Lint, then run every test against the real stack
	@if [ -n "$$CI" ]; then $(BIN)/python tests/contract/milvus_server.py; fi
	@$(BIN)/python -m pytest

test-milvus: setup ## Hold the index against the real Milvus 2.3.5, in a network namespace (root)
	@$(BIN)/python tests/contract/milvus_server.py

lint: setup ## Check style, types, import floors and protos
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@if command -v cc >/dev/null; then $(BIN)/python -m export.tensorrt_stubs build/stubs; \
	else echo "lint: no C compiler, so the calls of TensorRT are not held against its types"; fi
	@MYPYPATH=build/stubs $(BIN)/mypy
	@$(BIN)/lint-imports
	@test -x $(BUF) || ! command -v npm >/dev/null || timeout 120 npm install --silent --no-save --no-package-lock \
		--fetch-retries 1 --prefix build/buf @bufbuild/buf@1.75.0 || echo "lint: npm could not install buf" >&2
	@if [ -x $(BUF) ]; then $(BUF) lint; \
	elif [ -n "$$CI" ]; then echo "lint: buf needs npm, and CI may not go without it" >&2; exit 1; \
	else echo "lint: no buf, so the protos are not linted" >&2; fi

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only -q .

proto: setup ## Generate the code of vitrine/v1/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I. \
		--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. $(PROTOS)

lock: setup ## Resolve requirements/*.in into hashed *.txt
	@cd requirements && for name in serve build test; do \
		../$(BIN)/uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_36 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" $$name.in -o $$name.txt; done
	@docker/requirements/lock.sh

train: setup ## Train and evaluate the encoders on the procedural catalogue (resumes where it stopped)
	@$(BIN)/python -m encoders train --out $(WEIGHTS)
	@$(BIN)/python -m encoders evaluate
	@$(BIN)/python -m benchmarks report

train-rewriter: setup ## Train the rewriter's language model on its grammar (resumes where it stopped)
	@$(BIN)/python -m rewriter.training sample
	@$(BIN)/python -m rewriter.training train
	@$(BIN)/python -m rewriter.training export

export: setup ## Export the encoders and publish the local model repository
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)

bench: setup ## Measure latency and throughput of the running stack; writes benchmarks/results/
	@$(BIN)/python -m stack up
	@$(BIN)/python -m benchmarks load
	@$(BIN)/python -m benchmarks report

quality: setup ## Compare fusion designs on the committed towers and on scenes of shapes; Fashion200K's protocol (resumes where it stopped)
	@$(BIN)/python -m encoders compare
	@$(BIN)/python -m encoders css
	@$(BIN)/python -m catalogue build --layout fashion200k --out build/fashion200k
	@$(BIN)/python -m encoders fashion200k --data build/fashion200k
	@$(BIN)/python -m benchmarks report

quality-rewrite: setup ## Measure what reads turns: make quality-rewrite OPENAI_URL=... OPENAI_MODEL=... adds an endpoint
	@$(BIN)/python -m rewriter.quality $(if $(OPENAI_URL),--openai-url $(OPENAI_URL) --openai-model $(OPENAI_MODEL))

clean: down ## Delete what was built, not the environment
	@rm -rf build

.PHONY: help setup demo up down status logs index search test test-milvus lint format proto lock train train-rewriter export bench quality quality-rewrite clean
