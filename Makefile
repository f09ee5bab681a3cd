# Needs Go, git and make, nothing else: what is pinned comes through Go itself. What
# the tests need beside them, make test installs (.ci/install).

# One set of flags for everything, so that build, vet and test share their cache.
export CGO_ENABLED = 0
export GOFLAGS = -trimpath -buildvcs=false

# Names each test as it ends. One package at a time: most are as busy as two cores.
TEST = go run gotest.tools/gotestsum@v1.13.0 --format testname -- -p 1
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
KUBERNETES = k8s.io/component-base/version
LAB_FLAGS = -ldflags "-s -w -X $(KUBERNETES).gitVersion=v1.37.2 -X $(KUBERNETES).gitMajor=1 -X $(KUBERNETES).gitMinor=37"
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LAB_SOURCES := $(shell find lab -type f ! -name '*_test.go' ! -name '*.md')

.PHONY: help build lab demo test tools faults race bench lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build bin/demo bin/lab ## play both ways to roll out, on the lab, or in new namespaces of the cluster in KUBECONFIG
	@$(if $(KUBECONFIG),,bin/lab run --) bin/demo

build: ## bin/rollstep, static
	@go build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/rollstep .

lab: bin/lab ## bin/lab, a Kubernetes control plane in one binary

test: bin/lab bin/kubectl tools ## run all tests, those that need a cluster on the lab
	bin/lab run -- $(TEST) -timeout 40m $(if $(COVERAGE),-coverpkg=./... -coverprofile=$(COVERAGE)) ./...
	cd lab && $(TEST) -vet=off -timeout 20m ./...

tools: ## install what the tests need, as Debian and npm packages
	@.ci/install

faults: bin/lab ## kill every stage at every request, and more; three quarters of an hour (make test has a sample of it)
	ROLLSTEP_TEST_FAULTS=full bin/lab run -- go test -v -timeout 180m ./faults

race: bin/lab bin/kubectl tools ## the product's tests under the race detector (needs gcc)
	CGO_ENABLED=1 bin/lab run -- go test -race -timeout 60m ./...

bench: build bin/lab bin/kubectl ## compare with kubectl and Helm, write docs/performance.md; 25 minutes, alone on the machine
	cd bench && go build -ldflags "-s -w" -o ../bin/ . helm.sh/helm/v4/cmd/helm
	@$(if $(KUBECONFIG),,bin/lab run --) bin/bench -write docs/performance.md $(BENCH)

lint: ## formatting, vet, staticcheck, tidy modules; minutes the first time
	@files=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l) && \
		if [ -n "$$files" ]; then echo "not formatted (gofmt -w):" $$files; exit 1; fi
	go vet ./...
	cd lab && go vet ./...
	cd bench && go vet ./...
	$(STATICCHECK) ./...
	cd lab && $(STATICCHECK) ./...
	cd bench && $(STATICCHECK) ./...
	go mod tidy -diff
	cd lab && go mod tidy -diff
	cd bench && go mod tidy -diff

clean: ## remove what was built and installed here
	rm -rf bin e2e/node_modules e2e/.node

# What the pages of docs/ say is run with it.
bin/kubectl: bench/go.mod
	@echo "building kubectl, for the tests of the documentation"
	@mkdir -p bin; cd bench && go build $(LAB_FLAGS) -o ../bin/kubectl k8s.io/kubernetes/cmd/kubectl
	@touch bin/kubectl

.PHONY: bin/demo
bin/demo:
	@go build -o bin/demo ./demo

# The lab holds all of Kubernetes. `go build -v` names each package as it compiles
# it, the lab's own last; every ten seconds one line says how far it is.
bin/lab: $(LAB_SOURCES)
	@echo "building the lab: a real Kubernetes control plane; about 5 minutes the first time, cached after"
	@mkdir -p bin; log=$$(mktemp); began=$$(date +%s); \
	( while sleep 10 >/dev/null; do \
		case $$(tail -n 1 "$$log") in \
			"") doing="looking for what is cached" ;; \
			*/rollstep/lab) doing=linking ;; \
			"go: "*) doing="$$(grep -c '^go: ' "$$log") modules fetched" ;; \
			*) doing="$$(grep -vc '^go: ' "$$log") packages compiled (of about 2,700)" ;; \
		esac; \
		echo "  $$(( $$(date +%s) - began )) s: $$doing"; \
	done ) 2>/dev/null & ticker=$$!; \
	trap 'kill $$ticker; rm -f "$$log"' EXIT; trap 'exit 130' INT TERM; \
	(cd lab && go build -v $(LAB_FLAGS) -o ../bin/lab .) 2>"$$log" || \
		{ grep -v '^go: downloading' "$$log" | tail -n 30; exit 1; }
	@touch bin/lab; echo "built bin/lab"
