# `make help` lists what there is. SWIFT_FLAGS reaches every `swift build` (one flag set per scratch path).
SHELL := /bin/bash
SWIFT ?= swift
DATA ?= data
TRUST_DOMAIN ?= example.org

.DEFAULT_GOAL := help
.PHONY: help build demo test test-swift end-to-end interop lint format bench fuzz fuzz-short soak soak-short scale sanitize run prepare debug clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prepare:
	@scripts/prepare

debug: prepare
	@$(SWIFT) build --build-tests

build: prepare ## Release binary at .build/release/agentshield
	$(SWIFT) build -c release --product agentshield

demo: prepare ## Two agents, mutual TLS, an impostor, rotation, the verified audit log: a transcript
	@scripts/demo

test: lint test-swift end-to-end interop ## Every test: style, Swift, real processes, stock clients

test-swift: debug
	scripts/test-swift

end-to-end: debug ## Real processes on loopback: killed, cut off, rotated, refused
	scripts/end-to-end

interop: debug ## Stock clients only (PyPI packages, openssl), in a Python environment of their own
	scripts/interop

lint: prepare ## Formatting, imports against floors, links in the docs
	$(SWIFT) format lint --strict --parallel --recursive $$(git ls-files '*.swift' | grep -v -e /Generated/)
	scripts/check-imports
	scripts/check-links

format: ## Formats every Swift file in place
	$(SWIFT) format --in-place --parallel $$(git ls-files '*.swift' | grep -v -e /Generated/)

bench: prepare ## Measures; figures go into docs/benchmarks.md by hand
	Benchmarks/run

fuzz: prepare ## Ten minutes for each fuzzer (SECONDS_EACH=…)
	SECONDS_EACH=$${SECONDS_EACH:-600} scripts/fuzz

fuzz-short: prepare
	SECONDS_EACH=$${SECONDS_EACH:-10} scripts/fuzz

soak: debug ## Half an hour of flat memory, then one of issuing, rotating and killing (MINUTES=…)
	KILLS=0 MINUTES=$${MINUTES:-30} scripts/soak
	scripts/soak

soak-short: debug
	KILLS=0 MINUTES=$${MINUTES:-2} scripts/soak

scale: debug ## 100,000 entries in one registry, agents in one directory: counted, listed, found, also after a restart (ENTRIES=…)
	ENTRIES=$${ENTRIES:-100000} scripts/end-to-end Tests/EndToEnd/test_scale.py -k "large_registry or large_directory" -rP -o faulthandler_timeout=900

sanitize: prepare ## Swift tests under the thread and the address sanitizer (TARGETS=…)
	scripts/sanitize thread $(TARGETS)
	scripts/sanitize address $(TARGETS)

run: build ## `agentshield up` with a data directory (DATA=…, TRUST_DOMAIN=…)
	.build/release/agentshield up -dataDir $(DATA) -trustDomain $(TRUST_DOMAIN)

clean:
	rm -rf .build .build-fuzz .build-thread .build-address .venv .venv-tlog
