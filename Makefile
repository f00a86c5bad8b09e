# The commands of a contributor. .ci/run calls the same targets.

# Pinned, so that a new release of a tool turns no build red.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.14.0
# Modules outside of the workspace of go.work: they need programs that "make test" does not.
MODULES := deploy watermill

# The workspace's own go.mod files hold no replace directives, so that anyone can install a
# release. These modules stand alone.
alone := GOWORK=off

.DEFAULT_GOAL := help
.PHONY: help test race kafka torture lint modules console release tidy

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

# Go's own limit of ten minutes for a package is near where other programs have the processors.
test: ## every test that needs no Kafka, on virtual time
	go test -tags synctests -timeout 20m work

# On one processor: Go 1.26 lets two goroutines of a synctest bubble that poll due timers
# use one context of the race detector at once, which ends the process
# (runtime.(*timer).maybeRunChan). What the detector finds does not depend on it, and
# packages still run in parallel.
#
# The tests of endtoend are half of it: they are run in two parts, one beside all others.
race: ## the same under the race detector (needs gcc)
	@set -ex; detect="go test -race -cpu 1 -tags synctests -timeout 45m"; \
	$$detect -run '$(halves)' ./internal/endtoend & half=$$!; \
	$$detect $$(go list -tags synctests work | grep -v '/internal/endtoend$$'); \
	$$detect -skip '$(halves)' ./internal/endtoend; \
	wait $$half
halves := ^Test[A-D]

# Those that start three brokers, or kill them, one package at a time: on a busy machine brokers
# take too long to come back. The others two at a time: they wait more than they compute.
kafka: ## the tests on a real Apache Kafka, which they start (Java 17, Maven, kcat, Python 3, npm, libfaketime)
	@packages=$$(grep -rl --include='*_test.go' --exclude-dir=consoletest '^//go:build realkafka' . | xargs -n 1 dirname | sort -u); \
	[ -n "$$packages" ] || { echo "no package has tests with the tag realkafka" >&2; exit 1; }; \
	set -ex; \
	go test -tags realkafka -count=1 -timeout 30m -p 2 $$(echo "$$packages" | grep -vE '$(threebrokers)'); \
	go test -tags realkafka -count=1 -timeout 30m -p 1 $$(echo "$$packages" | grep -E '$(threebrokers)')
threebrokers := /(endtoend|kafkatest|torture)$$

# Three brokers and a fixed seed. It fails on what is lost, early, out of order, altered, or
# duplicated beyond what crashes may cost; never on a time.
torture: ## two minutes of faults on three brokers, with a check of every record
	go run ./internal/torture random --seed 7 --for 60s --delivery at-least-once
	go run ./internal/torture random --seed 7 --for 60s --delivery exactly-once

# Each file is in one of the two sets of tags.
lint: ## gofmt, go vet and staticcheck, with each build tag and in each module
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:" $$unformatted >&2; exit 1; }
	@set -ex; for tags in '' 'synctests,realkafka'; do \
		go vet -tags "$$tags" work; \
		go run $(STATICCHECK) -tags "$$tags" work; \
	done
	@set -ex; for module in $(MODULES); do \
		(cd $$module && export $(alone) && go vet ./... && go run $(STATICCHECK) ./...) || exit 1; \
	done

tidy: ## go mod tidy in every module, which releases of our own need not exist for
	.ci/tidy

modules: ## the tests of the manifests, the unit, .goreleaser.yaml and the adapter for watermill (need systemd-analyze)
	@set -ex; for module in $(MODULES); do \
		(cd $$module && $(alone) go test -count=1 ./...) || exit 1; \
	done

# A module of its own as well: neither a driver for browsers nor OpenAPI's validator is a
# dependency of delayd. What npm fetches is axe, and the chart library that is embedded, to
# compare it.
console: ## the console in Chromium, on a real Kafka (needs chromium and npm)
	cd cmd/delayd/consoletest && npm ci --no-audit --no-fund
	cd cmd/delayd/consoletest && export $(alone) && go vet -tags realkafka ./... && go run $(STATICCHECK) -tags realkafka ./...
	cd cmd/delayd/consoletest && $(alone) go test -tags realkafka -count=1 -timeout 10m ./...

# Not a part of .ci/run: to compile goreleaser takes five minutes of a processor. There the
# test of the module deploy reads the file with goreleaser's own types ("make modules").
release: ## goreleaser's own check of .goreleaser.yaml, with all defaults
	$(alone) go run $(GORELEASER) check
