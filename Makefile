PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS ?= 60

.PHONY: demo test lint conformance fuzz protos vectors clean

demo: $(STAMP)
	$(BIN)/secagg demo

test: $(STAMP)
	$(BIN)/pytest -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The library, the reference and, where there is Node, the JavaScript implementation. Reports go to build/conformance/.
conformance: $(STAMP)
	mkdir -p build/conformance
	$(BIN)/secagg conformance run --junit build/conformance/library.xml -- $(BIN)/secagg conformance testee
	$(BIN)/secagg conformance run --junit build/conformance/reference.xml -- $(BIN)/python -m protocol_specs.testee
	@if node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
		2>/dev/null && npm --version >/dev/null 2>&1; then \
		npm ci --prefix protocol_specs/js --no-audit --no-fund --loglevel error && \
		$(BIN)/secagg conformance run --junit build/conformance/javascript.xml -- node protocol_specs/js/testee.js; \
	else echo "SKIPPED: the JavaScript implementation, which needs Node 20.19 or later and npm"; fi

# Every target for SECONDS, one after the other. RECORD=--record writes fuzz/figures.json and the table of fuzz/README.md.
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m fuzz.run --seconds $(SECONDS) $(RECORD)

# A quick run, under two minutes; FULL=1 takes everything, the figures of the tables, in about a quarter of an hour.
BENCH := $(if $(FULL),full,quick)
bench: $(STAMP)
	$(BIN)/secagg bench run $(if $(FULL),,--quick) --json bench/results/$(BENCH).json
	$(BIN)/secagg bench plot bench/results/$(BENCH).json --out bench/results/$(BENCH)

# Somebody else's secure aggregation, in environments of their own, for the suite `peers`.
bench-peers:
	test -x build/peers/flower/bin/python || $(PYTHON) -m venv build/peers/flower
	build/peers/flower/bin/pip install --quiet --disable-pip-version-check 'flwr==1.41.0'

# Writes the figures of the last full run between the marks of the pages, and its pictures.
bench-tables: $(STAMP)
	$(BIN)/secagg bench table bench/results/full.json --into README.md --into docs/performance.md
	$(BIN)/secagg bench plot bench/results/full.json --out docs/img

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

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
