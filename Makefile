# The verbs of Tidings; `make help` lists them. `serve` and `test` work on a fresh machine.
.DEFAULT_GOAL := help
SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
INSTALL := packaging/environment install $(VENV)
PYTHON ?=
WORKERS ?= $(shell expr $$(nproc) + 1)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

## serve: install what is needed and start the server on ./data
.PHONY: serve
serve: $(VENV)/serve.stamp
	$(BIN)/tidings serve $(ARGS)

## test: install what the tests need (Debian packages included) and run them all, WORKERS files at a time
.PHONY: test
test: $(VENV)/dev.stamp
	tests/install.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

## check: everything that .ci/run asks for: lint, types, imports, generated files, tests
.PHONY: check
check: lint test

## lint: style, types, import contracts and generated files, without the tests
.PHONY: lint
lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tidings.app.reference --check

## gen: write the generated reference pages anew
.PHONY: gen
gen: $(VENV)/dev.stamp
	$(BIN)/python -m tidings.app.reference

## bench: measure, beside Prosody and ejabberd when they are installed; PEERS=1 installs them
.PHONY: bench
bench: $(VENV)/dev.stamp
	$(if $(PEERS),benchmarks/install-peers.sh)
	$(BIN)/python -m benchmarks $(ARGS)

## faults: kill the server hundreds of times under load, fill its disk, stop its database; nothing may be lost
.PHONY: faults
faults: $(VENV)/dev.stamp
	tests/install.sh
	$(BIN)/python -m tests.faults $(ARGS)

## interop: try what needs large programs of others, such as ejabberd or a browser; SCREENSHOTS=folder keeps pictures
.PHONY: interop
interop: $(VENV)/foreign.stamp
	tests/install.sh foreign
	$(BIN)/python -m pytest tests/foreign $(ARGS)

## fuzz: ten minutes each of random streams, stanzas and log-ins; what breaks something is shown and kept
.PHONY: fuzz
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz $(ARGS)

## dist: build the package for pip, a wheel and a source archive, into ./dist
.PHONY: dist
dist: $(VENV)/dev.stamp
	$(BIN)/python -m hatchling build -d dist

## deb: build a Debian package with systemd units and all that it needs, into ./dist
.PHONY: deb
deb: $(VENV)/dev.stamp
	packaging/debian/build $(BIN)/python dist

## test-deb: install that package in a minimal Debian, serve, upgrade and purge it; root and the network are needed
.PHONY: test-deb
test-deb: $(VENV)/dev.stamp
	tests/install.sh packaging
	$(BIN)/python -m pytest -s tests/packaging/{installed,under_systemd}.py $(ARGS)

## image: build a container image from nothing but Debian's archive, into ./dist; root is needed
.PHONY: image
image: $(VENV)/dev.stamp
	packaging/image/build $(BIN)/python dist

## test-image: build the image, run it, stop it and start it again on its volume; root and the network are needed
.PHONY: test-image
test-image: $(VENV)/dev.stamp
	tests/install.sh packaging
	$(BIN)/python -m pytest -s tests/packaging/image.py $(ARGS)

## clean: remove what make installed; ./data stays
.PHONY: clean
clean:
	rm -rf $(VENV) tests/interop/node_modules tests/foreign/converse/node_modules

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	packaging/environment make $(VENV) $(PYTHON)

$(VENV)/serve.stamp: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[postgresql,mysql,acme,otel,s3]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/serve.stamp
	$(INSTALL) --upgrade 'pip>=25.1'
	$(INSTALL) --group dev
	touch $@

$(VENV)/foreign.stamp: $(VENV)/dev.stamp
	$(INSTALL) --group foreign
	touch $@
