# `make run` and `make test` do all the set-up themselves. What a fresh machine must have: Rust (the version in
# Cargo.toml or later) with rustfmt and clippy, a C compiler (for zstd), and make. `make help` lists everything.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
DUCKDB_VERSION := 2.0.0
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
DUCKDB := $(TARGET)/duckdb
DEMO := $(TARGET)/demo
BINARY := $(TARGET)/debug/tracediff
RELEASE := $(TARGET)/release/tracediff
FUZZ_TARGETS := otlp_protobuf otlp_json jaeger zipkin lightstep stream query receivers
FUZZ_SECONDS ?= 60
KILLS ?= 200
FULL_DISKS ?= 20
FAULTS ?= 400

.PHONY: help run example test test-crash interop check release bench eval fuzz references clean prerequisites

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

# A C compiler is the one thing cargo cannot bring.
prerequisites:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "no C compiler: installing Debian's gcc and libc6-dev"; \
	  apt-get update -qq && apt-get install -y -qq gcc libc6-dev >/dev/null; }

run: prerequisites ## A server, and a simulated shop that sends it traces, with an incident every few minutes
	cargo build --quiet -p tracediff-cli
	$(BINARY) demo

example: prerequisites ## Simulate a small shop before and after an incident, and compare the two
	cargo build --quiet -p tracediff-cli
	@mkdir -p $(DEMO)
	$(BINARY) simulate --out $(DEMO)/before.jsonl --scenario healthy --seed 1 --start 2026-01-05T10:00:00Z
	$(BINARY) simulate --out $(DEMO)/after.jsonl --scenario slow-service --seed 2 --start 2026-01-05T10:10:00Z
	$(BINARY) compare $(DEMO)/before.jsonl $(DEMO)/after.jsonl --top 5

test: prerequisites ## Every test
	cargo test --workspace --quiet
	$(MAKE) interop

test-crash: prerequisites ## Kill the server KILLS (200) times, fill its disk, let writes fail: what it acknowledged is there
	TRACEDIFF_KILLS=$(KILLS) TRACEDIFF_FULL_DISKS=$(FULL_DISKS) cargo test --quiet -p tracediff-cli --test crash -- --nocapture
	TRACEDIFF_FAULTS=$(FAULTS) cargo test --quiet -p tracediff-store --lib faults

interop: prerequisites ## Real SDKs, a collector and two proxies send to the real binary; needs Python, Node and npm
	cargo build --quiet -p tracediff-cli
	./tests/interop/run --binary $(BINARY) --folder $(TARGET)/interop

check: prerequisites $(TOOLS)/bin/cargo-deny ## Formatting, lints, documentation, dependency edges, licences, drift of references
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	./scripts/check-edges
	$(TOOLS)/bin/cargo-deny --log-level error check licenses bans sources
	./scripts/references --check

$(TOOLS)/bin/cargo-deny:
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --quiet --root $(TOOLS)

release: prerequisites ## The optimised binary
	cargo build --release -p tracediff-cli
	@echo $(RELEASE)

bench: prerequisites $(DUCKDB)/bin/python ## Benchmarks: decoding, taking spans in, reading, facts, comparing, simulating
	TRACEDIFF_BENCH_PYTHON=$(abspath $(DUCKDB))/bin/python cargo bench --workspace

# Reading is measured beside it.
$(DUCKDB)/bin/python:
	python3 -m venv $(DUCKDB)
	$(DUCKDB)/bin/pip install --quiet duckdb==$(DUCKDB_VERSION)

eval: prerequisites ## How often the comparison is right, on simulated and (NEZHA=folder) on labelled real traces
	cargo run --release --quiet -p tracediff-testkit --bin tracediff-eval

references: prerequisites ## Write the generated references into docs/
	./scripts/references

fuzz: prerequisites ## Every fuzz target for FUZZ_SECONDS (60)
	command -v $(TOOLS)/bin/cargo-fuzz >/dev/null || cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --quiet --root $(TOOLS)
	for target in $(FUZZ_TARGETS); do \
	  (cd fuzz && PATH="$(abspath $(TOOLS))/bin:$$PATH" cargo fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS)); \
	done

clean: ## Remove what was built
	cargo clean
