PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS ?= 60
AT_ONCE ?= 1

.PHONY: demo demo-web docs tutorials screenshots quick test lint architecture protos vectors clean packages test-packages release
.PHONY: test-browser test-cluster soak fuzz conformance conformance-library conformance-reference conformance-javascript
.PHONY: test-javascript conformance-browser test-flower flower-env test-nvflare nvflare-env test-ray ray-env
.PHONY: test-byzfl byzfl-env test-third third-env bench bench-peers bench-tables bench-network bench-ray privacy-report robustness

demo: $(STAMP)
	$(BIN)/secagg demo
	$(BIN)/secagg demo --network

# A private survey to answer in a browser of this machine: prints a link, and ends with Ctrl-C.
demo-web: $(STAMP)
	$(BIN)/secagg demo --web

# Pictures of pages for docs/, by a headless Chromium.
screenshots: $(STAMP)
	$(BIN)/python -m tests.screenshots

# The documentation site, in build/site: a tutorial that shows something else, a dead link, anchor or name fails. Not
# quiet, which would let warnings pass; Material's notice of its successor is none.
docs: $(STAMP)
	$(BIN)/python -m docs.making.docstrings
	$(BIN)/python -m docs.making.notebooks --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# For every commit: lint, types and the tests of the core, without those that search long.
CORE := $(addprefix tests/,protocol session parameters crypto encoding masking wire test_layering.py test_layering_checker.py \
	test_loading.py test_architecture.py test_house_rules.py test_specification.py test_public_api.py test_errors.py \
	test_canonical.py)
quick: lint
	$(BIN)/pytest -n auto -q -m "not slow and not thorough" --hypothesis-profile quick $(CORE)

# Three for two cores: tests wait a third of their time, for processes, databases and deadlines.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, (os.cpu_count() or 2) * 3 // 2))')

# Tests start a hundred processes: what those compile of the library is kept, whatever the environment says of that.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# What replicas do under faults, in one process and over PostgreSQL, beyond the quick part that `make test` has.
test-cluster: $(STAMP)
	$(BIN)/pytest -n auto --dist worksteal -q -m cluster $(addprefix tests/,bench cli/demo faults hosting/replicas)

# Every fault of the network service, in minutes: what was lost, as a table and in build/soak.json.
soak: $(STAMP)
	GRPC_VERBOSITY=NONE $(BIN)/python -m tests.faults.soak --json build/soak.json

# Memory and time of `secagg serve` under 100 clients with 10^6 entries; fills the tables of docs/how_to/sizing.md.
bench-network: $(STAMP)
	$(BIN)/python -m bench.network --json bench/results/network.json --into docs/how_to/sizing.md

# The wheel, the source distribution, and the wheel of the test vectors, in build/dist.
packages: $(STAMP)
	$(BIN)/python -m build --no-isolation --outdir build/dist .
	$(BIN)/python -m build --no-isolation --wheel --outdir build/dist protocol_specs/vectors

# The same in new environments of each Python that is here; with every extra, alone and together.
PACKAGES_TESTS ?=
test-packages: $(STAMP)
	$(BIN)/pytest -n auto -q -m packages $(addprefix tests/,packages release) $(PACKAGES_TESTS)

# Refuses a tree that is no release, each reason a sentence; else packages and checksums, tried, in build/release. Uploads
# nothing, and makes a tag only with RELEASE=--tag. CONTRIBUTING.md says what comes before and after.
RELEASE ?=
release: $(STAMP)
	$(BIN)/python -m release $(RELEASE)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Table and picture of docs/architecture.md, from the plan in tests/test_layering.py.
architecture: $(STAMP)
	$(BIN)/python -m tests.architecture

# Node 20.19 or later, and npm.
HAS_NODE := node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
	2>/dev/null && npm --version >/dev/null 2>&1

# Tests that need the packages of clients/js, which `make test` skips on a machine that has not fetched them.
WITH_JAVASCRIPT := $(addprefix tests/,conformance/test_mixed_complaints.py reference/test_chosen_refusals.py \
	reference/test_mixed_chosen.py transport/http/test_enrolling.py transport/http/test_javascript.py)

# Packages of clients/js, fetched when package-lock.json has changed.
JAVASCRIPT := clients/js/node_modules/.package-lock.json
$(JAVASCRIPT): clients/js/package-lock.json
	npm ci --prefix clients/js --no-audit --no-fund --loglevel error
	touch $@

# The library, the reference and, where there is Node, the JavaScript implementation, two at a time: each takes one core.
# Reports go to build/conformance/.
conformance: $(STAMP)
	@if $(HAS_NODE); then $(MAKE) --no-print-directory $(JAVASCRIPT); \
	else echo "SKIPPED: the JavaScript implementation, which needs Node 20.19 or later and npm"; fi
	@$(MAKE) --no-print-directory --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) conformance-reference conformance-library \
		$$($(HAS_NODE) && echo conformance-javascript)
	@if $(HAS_NODE); then $(MAKE) --no-print-directory test-javascript; fi

conformance-library conformance-reference conformance-javascript: conformance-%: $(STAMP)
	mkdir -p build/conformance
	$(BIN)/secagg conformance run --junit build/conformance/$*.xml -- $(TESTEE_$*)

TESTEE_library = $(BIN)/secagg conformance testee
TESTEE_reference = $(BIN)/python -m protocol_specs.testee
TESTEE_javascript = node protocol_specs/js/testee.js

# The JavaScript implementation's own tests, and those beside the library's clients.
test-javascript: $(STAMP) $(JAVASCRIPT)
	npm test --prefix clients/js --silent
	npm run types --prefix clients/js --silent
	$(BIN)/pytest -n auto -q $(WITH_JAVASCRIPT)

# The JavaScript implementation in a page of a headless Chromium: its own tests there, sessions over HTTP, and every case.
conformance-browser: $(STAMP)
	mkdir -p build/conformance
	@if $(HAS_NODE); then $(MAKE) --no-print-directory $(JAVASCRIPT); else (exit 69); fi && \
	node protocol_specs/js/browser.js < /dev/null; \
	case $$? in \
		0) npm run test:browser --prefix clients/js --silent && \
			$(BIN)/secagg conformance run --junit build/conformance/browser.xml -- node protocol_specs/js/browser.js ;; \
		69) echo "SKIPPED: the JavaScript implementation in a browser, which needs Node 20.19 or later, npm and Chromium" ;; \
		*) exit 1 ;; \
	esac

# Pages in a headless Chromium: sessions beside clients of the library, the survey, the operators' page, the documentation.
test-browser: docs
	@if $(HAS_NODE); then $(MAKE) --no-print-directory $(JAVASCRIPT); fi
	$(BIN)/pytest -n auto --dist worksteal -q -m browser $(addprefix tests/,transport/http cli/demo docs test_looking.py)

# Every target for SECONDS, AT_ONCE of them. RECORD=--record writes fuzz/figures.json and the table of fuzz/README.md.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m fuzz.run --seconds $(SECONDS) --at-once $(AT_ONCE) $(RECORD)

# A quick run, under two minutes; FULL=1 takes everything, the figures of the tables, 100 000 clients included: half an hour.
BENCH := $(if $(FULL),full,quick)
bench: $(STAMP)
	$(BIN)/secagg bench run $(if $(FULL),--huge,--quick) --json bench/results/$(BENCH).json
	$(BIN)/secagg bench plot bench/results/$(BENCH).json --out bench/results/$(BENCH)

# Somebody else's secure aggregation, in environments of their own, for the suite `peers`.
bench-peers:
	test -x build/peers/flower/bin/python || $(PYTHON) -m venv build/peers/flower
	build/peers/flower/bin/pip install --quiet --disable-pip-version-check 'flwr==1.41.0'

# Writes the figures of the last full run between the marks of the pages, and its pictures.
bench-tables: $(STAMP)
	$(BIN)/secagg bench table bench/results/full.json --into README.md --into docs/performance.md
	$(BIN)/secagg bench plot bench/results/full.json --out docs/img

# What sums tell and what noise does about it: a page in build/privacy, the table of docs/privacy.md, README's picture.
privacy-report: $(STAMP)
	$(BIN)/secagg privacy report --out build/privacy --into docs/privacy.md
	cp build/privacy/strip.png build/privacy/strip.svg docs/img/

# Liars against rules over sums, a quarter of an hour or two: the tables of docs/robustness.md, and its pictures.
robustness: $(STAMP)
	$(BIN)/secagg poisoning run --json bench/results/poisoning.json
	$(BIN)/secagg poisoning table bench/results/poisoning.json --into docs/robustness.md
	$(BIN)/secagg poisoning plot bench/results/poisoning.json --out docs/img

# Environments of their own, each made once: whoever needs one again asks no index of packages, which may be away by then.
flower-env nvflare-env ray-env byzfl-env third-env: %-env: build/%/.installed

# Flower takes protobuf below 7, so it has an environment of its own, which is also where its part is checked strictly.
FLOWER := build/flower/bin
FLOWER_TESTS ?=
build/flower/.installed: pyproject.toml Makefile
	test -x $(FLOWER)/python || $(PYTHON) -m venv build/flower
	$(FLOWER)/pip install --quiet --disable-pip-version-check --editable '.[flower]' 'flwr[simulation]==1.41.0' \
		'scikit-learn>=1.4,<2' 'pytest>=8,<10' 'hypothesis>=6.100,<7' 'mypy>=1.15,<3' 'types-protobuf>=5,<9' \
		'matplotlib>=3.8,<4' 'jupytext>=1.16,<2' 'nbclient>=0.10,<1' 'ipykernel>=6.29,<8'
	$(FLOWER)/pip check
	touch $@

test-flower: flower-env
	$(FLOWER)/mypy secagg/integrations/flower tests/integrations/flower --follow-imports silent
	$(FLOWER)/pytest tests/integrations/flower $(FLOWER_TESTS)

# NVFLARE brings packages that we do not need, so it has an environment of its own.
NVFLARE := build/nvflare/bin
NVFLARE_TESTS ?=
build/nvflare/.installed: pyproject.toml Makefile
	test -x $(NVFLARE)/python || $(PYTHON) -m venv build/nvflare
	$(NVFLARE)/pip install --quiet --disable-pip-version-check --editable '.[nvflare]' \
		'scikit-learn>=1.4,<2' 'pytest>=8,<10' 'hypothesis>=6.100,<7'
	$(NVFLARE)/pip check
	touch $@

test-nvflare: nvflare-env
	$(NVFLARE)/pytest tests/integrations/nvflare $(NVFLARE_TESTS)

# Ray is 250 MB and starts servers, so it has an environment of its own.
RAY := build/ray/bin
build/ray/.installed: pyproject.toml Makefile
	test -x $(RAY)/python || $(PYTHON) -m venv build/ray
	$(RAY)/pip install --quiet --disable-pip-version-check --editable '.[ray]' 'pytest>=8,<10' 'hypothesis>=6.100,<7'
	$(RAY)/pip check
	touch $@

test-ray: ray-env
	$(RAY)/pytest tests/ray

# Masks with one and two workers of Ray: the table of docs/how_to/sizing.md.
bench-ray: ray-env
	$(RAY)/pip install --quiet --disable-pip-version-check 'pyperf>=2.8,<3'
	$(RAY)/python -m bench.cluster --json bench/results/cluster.json --into docs/how_to/sizing.md

# Somebody else's robust rules, which ours are held against. Without what it trains with: several GB, for rules in NumPy.
BYZFL := build/byzfl/bin
build/byzfl/.installed: pyproject.toml Makefile
	test -x $(BYZFL)/python || $(PYTHON) -m venv build/byzfl
	$(BYZFL)/pip install --quiet --disable-pip-version-check --editable . 'scipy>=1.11,<2' 'pytest>=8,<10' \
		'hypothesis>=6.100,<7'
	$(BYZFL)/pip install --quiet --disable-pip-version-check --no-deps 'byzfl==0.0.11'
	touch $@

test-byzfl: byzfl-env
	$(BYZFL)/pytest tests/byzfl

# A framework that we have no package for, DecLearn, which takes secure sums by docs/embedding.md alone.
THIRD := build/third/bin
build/third/.installed: pyproject.toml Makefile
	test -x $(THIRD)/python || $(PYTHON) -m venv build/third
	$(THIRD)/pip install --quiet --disable-pip-version-check --editable . 'declearn[grpc]==2.9.1' 'pytest>=8,<10' \
		'hypothesis>=6.100,<7'
	$(THIRD)/pip check
	touch $@

test-third: third-env
	$(THIRD)/pytest tests/integrations/third

# Notebooks are committed; this executes the programs beside them, and rewrites those that show something else.
tutorials: $(STAMP) flower-env
	$(BIN)/python -m docs.making.notebooks
	$(FLOWER)/python -m docs.making.notebooks flower

# Test vectors are committed; run this after a change in protocol_specs/.
vectors: $(STAMP)
	$(BIN)/python -m protocol_specs.generate_vectors

# Stubs are committed; run this after a change in protos/. protobuf 6.31 code runs with protobuf 6 and 7.
protos:
	$(PYTHON) -m venv build/protoc
	build/protoc/bin/pip install --quiet 'grpcio-tools==1.74.0' 'protobuf==6.31.1' setuptools
	build/protoc/bin/python -m grpc_tools.protoc --proto_path=protos --python_out=build --pyi_out=build \
		protos/secagg/v1/messages.proto protos/secagg/conformance/v1/conformance.proto
	mv build/secagg/v1/messages_pb2.py build/secagg/v1/messages_pb2.pyi secagg/wire/
	cp build/secagg/conformance/v1/conformance_pb2.py build/secagg/conformance/v1/conformance_pb2.pyi secagg/conformance/
	cp build/secagg/conformance/v1/conformance_pb2.py build/secagg/conformance/v1/conformance_pb2.pyi protocol_specs/testee/
	build/protoc/bin/python -m grpc_tools.protoc --proto_path=protos --python_out=build --pyi_out=build \
		--grpc_python_out=build protos/secagg/service/v1/service.proto
	sed 's/from secagg.service.v1 import/from secagg.transport import/' \
		build/secagg/service/v1/service_pb2_grpc.py > secagg/transport/grpc/service_pb2_grpc.py
	mv build/secagg/service/v1/service_pb2.py build/secagg/service/v1/service_pb2.pyi secagg/transport/

$(VENV)/.fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	touch $@

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), without a word for a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fast]' || \
		echo "SKIPPED: suite 0x0002, because pyaegis has no wheel for this machine and cannot be compiled here"
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
