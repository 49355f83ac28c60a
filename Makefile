# The commands of this project. Each is a script in scripts/; this file only names them.
.PHONY: help run test build dev bench lighthouse check pictures soak kill conformance model-run deny sbom
.DEFAULT_GOAL := help

help: ## This list
	@sed -n 's/^\([a-z-]*\): ## /\1\t/p' Makefile | awk -F '\t' '{ printf "  make %-11s %s\n", $$1, $$2 }'

run: ## Set up, build and start everything on http://127.0.0.1:3000, in the foreground
	@scripts/run.sh

test: ## Set up and run every check and test, browser tests included
	@scripts/test.sh

check: ## The fast part of the tests: formatting, tidy, clippy
	@scripts/check.sh

build: ## The release binary target/release/toki and the site it serves, nothing started
	@scripts/build.sh

dev: ## Start everything in debug, rebuild and restart on every change
	@scripts/dev.sh

bench: ## Benchmarks, each as a ratio against its baseline in the same run
	@scripts/bench.sh

lighthouse: ## What the console costs its readers: Lighthouse, and the server's time for every page
	@scripts/lighthouse.sh

pictures: ## The pictures of README, of the console as it is now
	@scripts/pictures.sh

soak: ## For long: the accounting simulator on a database of its own, and the parsers against damaged bytes
	@scripts/soak.sh

kill: ## Payments under kill -9 at every point, fifty times each
	@scripts/kill.sh

conformance: ## OpenAI's own tests, schemathesis on our OpenAPI document, and Claude Code, against a sandbox server
	@scripts/conformance.sh

model-run: ## A small real model as supplier, asked directly and through us; the first run builds its server
	@scripts/model-run.sh

deny: ## Licences, sources and duplicates of all that this program is made of
	@scripts/deny.sh

sbom: ## What it is made of, as CycloneDX JSON in target/sbom
	@scripts/sbom.sh
