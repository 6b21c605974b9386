# make test is all that a change has to pass; it needs Go, and for the servers Python 3.11, Node.js, a JDK
# and Maven, and says so when one is missing.

.PHONY: test quick check-deploy lint bench fuzz module mutants soak release emulators emulators-stop

test: lint
	integration/test.sh

# The tests that need nothing but Go.
quick:
	go test ./...

# Holds deploy/ against the schemas of the clouds; a part of make test.
check-deploy:
	integration/deploy.sh

lint:
	@files=$$(go tool gofumpt -l .) && test -z "$$files" || \
		{ printf 'error: not formatted:\n%s\nhint: go tool gofumpt -w .\n' "$$files" >&2; exit 1; }
	go vet ./...
	go vet -tags integration ./...
	go tool staticcheck ./...
	go tool staticcheck -tags integration ./...
	integration/publish.sh go vet ./...
	integration/publish.sh go tool -modfile=../../go.mod staticcheck ./...
	integration/vulncheck.sh

# Measures everything side by side with what people would take instead, and writes bench/results/performance.md; less than
# twenty minutes. RUN='walk|hot' runs some experiments, ARGS=-quick tests the benchmarks themselves and writes nothing.
bench:
	eval "$$(bench/servers.sh)" && cd bench && go run . -run '^($(or $(RUN),.*))$$' $(ARGS)

# Breaks the checks of packages, one at a time: the tests must notice. PKGS='./changeset ./head' chooses the packages,
# SAMPLE=10 breaks ten checks of each, chosen by SEED.
mutants:
	go run ./internal/mutants -sample $(or $(SAMPLE),0) -seed $(or $(SEED),1) $(or $(PKGS),./changeset ./head)

# Builds a release below dist/, which is the same on every machine with the same Go: archives for five platforms, their
# modules (SBOM) and checksums. make release VERSION=v1.2.0 [PLATFORMS='linux/amd64 darwin/arm64'] [DIST=folder]
release:
	go run ./internal/release -version '$(VERSION)' -out '$(or $(DIST),dist)' $(if $(PLATFORMS),-platforms '$(PLATFORMS)')

# Renames the module, for whoever publishes it: make module MODULE=host/owner/ropewalk
module:
	integration/module.sh '$(MODULE)'

# Every fuzz target, FUZZTIME (10s) each.
fuzz:
	integration/fuzz.sh

# Soaks every storage, in a thousand histories over memory, fifty and more over each other one, two thousand kills and
# an hour's load. DURATION=10m gives each storage so much time at least, SEED=7 repeats a soak, STORES=memory,azure
# chooses (memory, sqlite, dynamo, s3, azure), REPORT=file writes the tables of figures to a file
# (bench/results/soak.md is the page of the figures that docs/reliability.md quotes).
soak:
	$(if $(REPORT),rm -f $(abspath $(REPORT)))
	integration/emulators.sh start
	eval "$$(integration/emulators.sh env)" && go test -tags integration -count=1 -timeout 0 -v -run '^TestSoak' ./integration \
		-soak -soak.duration=$(or $(DURATION),0s) -soak.seed=$(or $(SEED),0) -soak.stores=$(STORES) -soak.report=$(abspath $(REPORT))

# Starts the emulators and the databases, and leaves them running. It prints the variables that point the tests at
# them, and for each cloud a line that points the command at it.
emulators:
	@integration/emulators.sh start
	@integration/emulators.sh env
	@integration/emulators.sh stores

emulators-stop:
	integration/emulators.sh stop
