# What there is to do. "make" alone lists it.
LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help run standins playground generate test test-mongodb update check fresh bench conformance

help: ## list what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: playground ## serve with SQLite and stand-ins, state in ./data
	go run .

standins: ## play the outside systems alone, on fixed ports of this machine, state in ./data
	go run . standins

playground: ## build the Playground's page, once (needs npm)
	@if [ -f graph/playground/dist/index.html ]; then :; \
	elif command -v npm >/dev/null; then cd graph/playground && npm ci --no-fund --no-audit && npm run build; \
	else echo "npm is not installed: all runs but the Playground's page, which says so itself"; fi

generate: ## schema/ becomes graph/generated and stubs in resolvers/
	go tool gqlgen

test: ## every test that needs Go alone
	go test ./...

test-mongodb: ## the store and every script on MongoDB (MONGODB_URI names a replica set; a mongod on the PATH does for the store alone)
	@test -n '$(MONGODB_URI)' || command -v mongod >/dev/null || echo "MongoDB is not tested: set MONGODB_URI to a replica set, or have a mongod on the PATH"
	@MONGODB_URI='$(MONGODB_URI)' go test -count=1 -p 1 -timeout 60m ./store/... $(if $(MONGODB_URI),./platform/... ./provisioning/... .)

update: ## write down the answers in testdata; the diff is the review
	go test . -run TestScripts -update

check: fresh ## what CI runs: generated code, linter, vet, every test with the race detector (needs gcc)
	@command -v gcc >/dev/null || { echo "the race detector needs gcc"; exit 1; }
	$(LINT) run
	go vet ./...
	go test -race ./...

fresh: ## generated code is what the schema says, and nothing is unbound
	@set -e; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	git ls-files -z | xargs -0 cp --parents -t "$$copy" 2>/dev/null || true; \
	(cd "$$copy" && go tool gqlgen); \
	diff -r graph/generated "$$copy/graph/generated" && diff -r resolvers "$$copy/resolvers" && diff -r graph/unbound "$$copy/graph/unbound" \
	|| { echo "run make generate"; exit 1; }

conformance: ## have npm's clients and audits judge the running server (needs npm)
	cd testdata/conformance && npm ci
	go test -count=1 -run TestConformance -v .

bench: ## one table of what was promised and what is, beside a plain handler (FIGURES=P1,P14 for some rows)
	go test -run '^$$' -bench '^BenchmarkFigures$$' -benchtime 1x -timeout 20m . -figures '$(FIGURES)'
