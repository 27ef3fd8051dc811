PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS ?= 60

.PHONY: demo test lint fuzz protos clean

demo: $(STAMP)
	$(BIN)/secagg demo

test: $(STAMP)
	$(BIN)/pytest -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every target for SECONDS, one after the other; figures go to fuzz/figures.json and fuzz/README.md.
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m fuzz.run --seconds $(SECONDS)

# Stubs are committed; run this after a change in protos/. protobuf 6.31 code runs with protobuf 6 and 7.
protos:
	$(PYTHON) -m venv build/protoc
	build/protoc/bin/pip install --quiet 'grpcio-tools==1.74.0' 'protobuf==6.31.1' setuptools
	build/protoc/bin/python -m grpc_tools.protoc --proto_path=protos --python_out=build --pyi_out=build \
		protos/secagg/v1/messages.proto
	mv build/secagg/v1/messages_pb2.py build/secagg/v1/messages_pb2.pyi secagg/wire/

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
