# `make` lists the targets. Continuous integration runs .ci/run, which calls the same steps.
.DEFAULT_GOAL := help
.PHONY: help build test test-short race lint e2e bench torture fuzz demo clean

GO      ?= go
VERSION ?= dev
FUZZTIME ?= 30s

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/sinker, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/sinker ./cmd/sinker

test: ## every test that this machine can run (needs only Go; more with Docker and Java)
	$(GO) test ./...

test-short: ## the tests of seconds, without real brokers and without Docker
	$(GO) test -short ./internal/... ./cmd/... ./e2e/mutants

race: ## the short tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./internal/... ./cmd/...

lint: ## formatting, vet, staticcheck, and go.mod as it should be
	@unformatted=$$(gofmt -l cmd internal e2e bench torture migrations); \
	  [ -z "$$unformatted" ] || { echo "gofmt these: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags failpoints ./internal/... ./cmd/...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

e2e: ## the end-to-end tests on real Kafka and Postgres (Docker; some need Java instead)
	$(GO) test -count 1 ./e2e/...

bench: ## the main benchmark scenarios, in turns with psql \copy
	$(GO) run ./bench

torture: ## ten minutes of forty kinds of faults, then the proof that nothing was lost or doubled
	$(GO) run ./torture

fuzz: ## every fuzz target for FUZZTIME each (default 30s)
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
	  for target in $$($(GO) test -list '^Fuzz' ./$$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$pkg; \
	  done; done

demo: ## load a million orders, kill the loader again and again, prove that each is there once
	$(GO) run ./cmd/sinker demo

clean: ## remove what make built
	rm -rf bin
