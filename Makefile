# The ways to build and check Damascus. `make` lists them. Needs bash, and Rust by rustup; `make setup` gets the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
# Steps run one after another: each uses all cores, and their order is part of their meaning.
.NOTPARALLEL:

# Tools that scripts/setup compiled, before those of the machine.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# In CI the lock file stands, and every failure of a run is shown.
LOCKED := $(if $(CI),--locked)
export NEXTEST_PROFILE ?= $(if $(CI),ci,default)

STEP := scripts/step
# In the order of `make test`; the test runner comes last, so that its summary closes the output.
TEST_STEPS := setup fmt-check tidy sqlx clippy deny doctest nextest
CHECK_STEPS := fmt-check tidy clippy core-tests

.PHONY: help setup demo build test check lint fmt fmt-check tidy sqlx clippy deny audit doctest nextest core-tests clean

help: ## List what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## Install what building and testing need (apt when root or sudo is there, else it says what)
	@$(STEP) "setup: install what is missing" scripts/setup

demo: ## The example project from backlog to merged, on this machine: installs what is missing, builds, runs
	@$(STEP) "setup: install what is missing to run" scripts/setup --to-run
	@$(STEP) "build: the damascus program, quickly" cargo build $(LOCKED) --profile demo --package damascus
	@$(STEP) "demo: the example project to its end" scripts/demo $(ARGS)

build: ## Build the program that ships: target/release/damascus
	@$(STEP) "build: the damascus program, optimised" cargo build $(LOCKED) --release --package damascus

test: ## Everything, from a clean checkout: set-up, style, lints, licences, all tests
	@$(call steps,$(TEST_STEPS))

check: ## The quick round while working: style, lints, tests of the domain (needs `make setup` once)
	@$(call steps,$(CHECK_STEPS))

lint: fmt-check tidy clippy deny ## Style, house rules, clippy, licences

fmt: ## Format the sources
	@$(STEP) "fmt: format the sources" cargo fmt --all

fmt-check: ## Is the source formatted?
	@$(STEP) "fmt-check: is the source formatted?" cargo fmt --all --check

tidy: ## House rules that no compiler knows
	@$(STEP) "tidy: house rules that no compiler knows" cargo run $(LOCKED) --quiet --package xtask -- tidy

sqlx: ## Does every SQL statement fit the schema, and is .sqlx what they say?
	@$(STEP) "sqlx: SQL statements against the schema" scripts/sqlx --check

clippy: ## Clippy over everything; warnings fail
	@$(STEP) "clippy: lints over all targets and features" \
		cargo clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings

deny: ## Licences, banned crates and sources of dependencies
	@$(STEP) "deny: licences, bans and sources of dependencies" \
		cargo deny --log-level error check --hide-inclusion-graph bans licenses sources

audit: ## Known vulnerabilities of dependencies (fetches the advisory database)
	@$(STEP) "audit: known vulnerabilities of dependencies" cargo deny check advisories

doctest: ## Examples in the documentation
	@$(STEP) "doctest: examples in the documentation" cargo test $(LOCKED) --quiet --workspace --doc

nextest: ## All tests of the workspace; ARGS="…" goes to cargo nextest run
	@$(STEP) "nextest: all tests of the workspace" scripts/nextest $(LOCKED) $(ARGS)

core-tests: ## Tests of the domain crate
	@$(STEP) "core-tests: the domain" cargo nextest run $(LOCKED) --package damascus-core

clean: ## Remove what was built; .tools stays (remove it by hand to install anew)
	@$(STEP) "clean: remove what was built" cargo clean

# Runs targets in order, stops at the first that fails, and sums up either way.
define steps
	log=$$(mktemp); \
	trap 'rm -f "$$log"' EXIT; \
	status=0; \
	STEP_LOG=$$log $(MAKE) --no-print-directory $(1) || status=$$?; \
	printf '\n==> %s: summary\n' "$@"; \
	cat "$$log"; \
	if [[ $$status -ne 0 ]]; then echo "  stopped there; each step has a target of its own: make help"; fi; \
	exit $$status
endef
