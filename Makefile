# make test is all that a change has to pass; it needs Go, and for the emulators Python 3.11, Node.js, a JDK
# and Maven, and says so when one is missing.

.PHONY: test quick lint fuzz emulators emulators-stop

test: lint
	integration/test.sh

# The tests that need nothing but Go.
quick:
	go test ./...

lint:
	@files=$$(go tool gofumpt -l .) && test -z "$$files" || \
		{ printf 'error: not formatted:\n%s\nhint: go tool gofumpt -w .\n' "$$files" >&2; exit 1; }
	go vet ./...
	go vet -tags integration ./...
	go tool staticcheck ./...
	go tool staticcheck -tags integration ./...
	integration/vulncheck.sh

# Every fuzz target, FUZZTIME (10s) each.
fuzz:
	integration/fuzz.sh

# Starts the emulators and leaves them running; the variables that it prints point the tests at them.
emulators:
	@integration/emulators.sh start
	@integration/emulators.sh env

emulators-stop:
	integration/emulators.sh stop
