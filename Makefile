# Everything works from a fresh clone: each target makes what it needs first.

PYTHON  ?= python3
VENV    := .venv
PY      := $(VENV)/bin/python
BOLT    := $(VENV)/bin/bolt
HOST    ?= 127.0.0.1
PORT    ?= 8000
WORKERS ?= 1
APP     ?= examples/embedded_app.py
PIDFILE := bolt.pid
LOGFILE := bolt.log
FUZZ    := plan path expression forwarded request wire
RUST    := $(shell find engine -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock

.DEFAULT_GOAL := help
.PHONY: help tools develop run run-bg stop smoke bench bench-peers bench-alone bench-config bench-limiter \
        migrate makemigrations orm-smoke create-user test test-tools all-built rust-built pythons check check-rust check-python generate fuzz soak fmt clean reinstall

help:            ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust >= 1.89, see https://rustup.rs" >&2; exit 1; }
	@rustc --version | awk '{split($$2, v, "."); exit !(v[1] > 1 || v[2] >= 89)}' || { echo "$$(rustc --version) is older than 1.89: rustup update stable" >&2; exit 1; }
	@echo 'int main(void) { return 0; }' | cc -x c - -lsqlite3 -o /dev/null 2>/dev/null || { echo "SQLite's development files, or cc, are missing: apt-get install gcc libsqlite3-dev" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python >= 3.11, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: say make PYTHON=/path/to/python3.11" >&2; exit 1; }

$(VENV)/.python: pyproject.toml | tools
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip maturin
	@touch $@

$(VENV)/.built: $(VENV)/.python $(RUST)
	@echo "building the extension in release mode; the first time takes some minutes"
	VIRTUAL_ENV=$(abspath $(VENV)) $(VENV)/bin/maturin develop --release --quiet --extras dev
	@touch $@

develop: $(VENV)/.built   ## the virtualenv with the extension in release mode and all tools
	@$(PY) -c 'import pybolt._engine' && echo "$(BOLT) is ready"

run: $(VENV)/.built       ## serve the example on 127.0.0.1:8000 (APP=, HOST=, PORT=, WORKERS=)
	$(BOLT) run $(APP) --host $(HOST) --port $(PORT) --workers $(WORKERS)

run-bg: $(VENV)/.built    ## the same in the background, with a PID file
	@if [ -f $(PIDFILE) ] && kill -0 $$(cat $(PIDFILE)) 2>/dev/null; then echo "it runs already, PID $$(cat $(PIDFILE))"; exit 1; fi
	@nohup $(BOLT) run $(APP) --host $(HOST) --port $(PORT) --workers $(WORKERS) >$(LOGFILE) 2>&1 & echo $$! >$(PIDFILE)
	@$(PY) -m tests.await_server $(HOST) $(PORT) $$(cat $(PIDFILE)) || { cat $(LOGFILE); rm -f $(PIDFILE); exit 1; }
	@echo "serving on http://$(HOST):$(PORT), PID $$(cat $(PIDFILE)), log in $(LOGFILE)"

stop:            ## end what run-bg started
	@if [ -f $(PIDFILE) ]; then kill $$(cat $(PIDFILE)) 2>/dev/null; while kill -0 $$(cat $(PIDFILE)) 2>/dev/null; do sleep 0.1; done; rm -f $(PIDFILE); echo stopped; else echo "nothing runs"; fi

smoke: $(VENV)/.built     ## start, ask for /hello, stop
	@$(MAKE) --no-print-directory run-bg && { curl --fail --silent --show-error http://$(HOST):$(PORT)/hello; status=$$?; echo; $(MAKE) --no-print-directory stop; exit $$status; }

orm-smoke: $(VENV)/.built ## start, write and read a row over HTTP, stop
	@$(MAKE) --no-print-directory run-bg && { \
	  curl --fail --silent --show-error -H 'Content-Type: application/json' -d '{"text": "smoke"}' http://$(HOST):$(PORT)/notes && \
	  curl --fail --silent --show-error "http://$(HOST):$(PORT)/notes?limit=1"; status=$$?; echo; $(MAKE) --no-print-directory stop; exit $$status; }

fuzz: | tools            ## what must hold of every input, tried on mutated ones; FUZZ_SECONDS=5 a target
	cargo build --quiet -p pybolt-fuzz
	@printf '%s\n' $(FUZZ) | xargs -P 2 -I TARGET cargo run --quiet -p pybolt-fuzz --bin TARGET

soak: $(VENV)/.built      ## the scenarios that take minutes at full size: 100,000 hostile requests, 9,000 connections
	BOLT_SOAK=1 $(PY) -m pytest tests/soak

bench: $(VENV)/.built     ## ApacheBench: 50,000 requests, 100 concurrent
	@command -v ab >/dev/null || { echo "ab is missing: apt-get install apache2-utils" >&2; exit 1; }
	@$(MAKE) --no-print-directory run-bg && { ab -q -k -n 50000 -c 100 http://$(HOST):$(PORT)/hello; status=$$?; $(MAKE) --no-print-directory stop; exit $$status; }

bench-peers: $(VENV)/.built  ## every bar: CPU beside raw actix, django-bolt and nginx (results to bench/results), then bench-alone and bench-config
	@command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
	@status=0; $(PY) -m bench.peers || status=1; $(PY) -m bench.render; \
	$(MAKE) --no-print-directory bench-alone || status=1; \
	$(MAKE) --no-print-directory bench-config || status=1; exit $$status

bench-config: $(VENV)/.built  ## what checking and reloading 5,000 routes cost
	$(PY) -m bench.config

bench-alone: | tools     ## what a token and a codec cost beside the verification and the codec alone
	cargo bench --quiet -p pybolt-engine --bench alone

bench-limiter: | tools   ## what one decision of the limiter costs
	cargo bench --quiet -p pybolt-engine --bench limiter

migrate: $(VENV)/.built   ## apply migrations of the example
	$(BOLT) migrate $(APP)

makemigrations: $(VENV)/.built  ## write migrations of the example
	$(BOLT) makemigrations $(APP)

create-user: $(VENV)/.built  ## the user demo with the password demo
	$(BOLT) migrate $(APP)
	$(BOLT) createuser demo $(APP) --password demo

test: test-tools all-built check-rust  ## every check and every test, also under the other Pythons; what CI runs
	@nice -n 19 $(MAKE) --no-print-directory fuzz pythons >target/beside.log 2>&1 & beside=$$!; \
	$(MAKE) --no-print-directory check-python; status=$$?; \
	wait $$beside || status=1; cat target/beside.log; exit $$status
	$(PY) -m tests.pythons

test-tools:
	@tests/install_tools.sh

all-built: | tools       # two compilers at once: most of a cold run is one of them, alone on its core
	@$(MAKE) --no-print-directory -j2 $(VENV)/.built rust-built

rust-built: | tools
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --no-run -p pybolt-engine; else cargo test --no-run -p pybolt-engine --lib --tests; fi
	cargo build --quiet -p pybolt-fuzz

pythons: $(VENV)/.built  # what the other Pythons need
	$(PY) -m tests.pythons --prepare

check: check-rust check-python  ## the same under one Python

check-rust: | tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run -p pybolt-engine; else cargo test -p pybolt-engine --lib --tests; fi
	cargo test --quiet -p pybolt-engine --doc
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps -p pybolt-engine

check-python: $(VENV)/.built
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest pybolt._engine
	$(PY) -m bench.render --check
	$(PY) -m docs.generate --check
	$(PY) -m pytest

generate: $(VENV)/.built  ## write what is generated: config/, docs/reference/
	$(PY) -m docs.generate

fmt: $(VENV)/.built       ## format Rust and Python
	cargo fmt --all
	$(VENV)/bin/ruff check --fix --quiet . || true
	$(VENV)/bin/ruff format .

clean:           ## remove what was built
	rm -rf target $(VENV)/.built .venv-* pybolt/_engine.*.so

reinstall:       ## a new virtualenv
	rm -rf $(VENV)
	$(MAKE) develop
