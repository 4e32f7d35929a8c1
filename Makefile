# Headwater: every task is one word. Each installs what it needs, says what takes long and why, and can be repeated.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-origin contract fuzz order web

# Settings of `make demo`; `make demo PORT=0 FILE=clip.mkv`.
PORT ?= 8080
FILE ?=
DEMO_EXIT ?=
# Settings of `make fuzz`: how long each target runs, and which; none means all.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=

help: ## Show this list
	@printf 'Headwater. Tasks:\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@printf '\nSettings of make demo:\n'
	@printf '  PORT=8080       where it listens on 127.0.0.1; 0 takes any free port\n'
	@printf '  FILE=path       upload this file instead of a generated clip\n'
	@printf '  DEMO_EXIT=1     verify the playback once and exit instead of serving on\n'

demo: ## Build, serve, upload a clip and print where to watch it
	@tools/setup.sh demo
	@tools/web.sh build
	@PORT='$(PORT)' FILE='$(FILE)' DEMO_EXIT='$(DEMO_EXIT)' tools/demo.sh

test: ## Run all tests, with a PostgreSQL and an S3 store of their own
	@tools/setup.sh test
	@tools/web.sh build
	@tools/with-services.sh tools/test.sh $(ARGS)

check: ## Check formatting, lints, documentation, pages, licences, dependencies, spelling
	@tools/setup.sh check
	@tools/web.sh build
	@tools/check.sh

bench: ## Measure: micro benches, side by side with ffmpeg and upload servers, the API under load
	@tools/setup.sh bench
	@tools/web.sh build
	@tools/bench.sh

bench-origin: ## Measure the origin beside nginx
	@benches/origin.sh $(ARGS)

contract: ## Ask a running server all its OpenAPI document allows, and more (schemathesis), on SQLite and PostgreSQL
	@tools/setup.sh test
	@tools/web.sh build
	@cargo build --locked --package headwater
	@tools/with-services.sh tools/contract.sh "$${CARGO_TARGET_DIR:-target}/debug/headwater"

fuzz: ## Feed the upload server and the engine nonsense, FUZZ_SECONDS=600 for each target
	@tools/setup.sh fuzz
	@tools/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

order: ## Note anew which functions a server runs, so that releases lay them side by side (docs/adr/0057)
	@tools/setup.sh order
	@tools/web.sh build
	@tools/function-order.sh

web: ## Build the pages into web/dist
	@tools/web.sh build
