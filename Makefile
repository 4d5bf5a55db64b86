# make demo        a LASNet from PyTorch to a library that skips the work, and what that buys on this machine
# make test        what CI runs: lint, then the tests that take seconds
# make test-slow   the tests that take minutes
# make test-onnx   ONNX's own node tests through build and run, against tests/onnx_nodes/results.json (minutes)
# make test-neon   runs code for Arm under emulation, against onnxruntime (x86-64 Linux; minutes)
# make fuzz        draws COUNT networks (1000) from seed FIRST (0) on, and writes what fails into build/failing
# make fuzz-files  damages files of every kind for SECONDS (300), and keeps what is not refused in build/fuzz
# make clean       removes all that these have made
# PYTHON=python3.12 make ...   chooses the interpreter of .venv (default: the first of 3.10 to 3.13 found)

.PHONY: demo test test-slow test-onnx test-neon fuzz fuzz-files lint clean

VENV := .venv
BIN := $(VENV)/bin
LASCOMPILE := $(BIN)/python -m lascompile
# pip's cache is the only thing written outside this folder.
PIP := $(BIN)/python -m pip --disable-pip-version-check

MODEL := demo/lasnet_resnet50

demo: $(VENV)/.demo
	mkdir -p demo
	$(LASCOMPILE) export lasnet_resnet50 --granularity 4,4,2,1 --activation-rate 0.5 -o $(MODEL).onnx
	$(LASCOMPILE) build $(MODEL).onnx -o $(MODEL).lasc
	$(LASCOMPILE) verify $(MODEL).lasc --onnx $(MODEL).onnx
	$(LASCOMPILE) bench $(MODEL).lasc --onnx $(MODEL).onnx --baselines onnxruntime --seed 1
	$(LASCOMPILE) run $(MODEL).lasc --seed 1 --masks demo/masks

test: lint
	$(BIN)/python -m pytest

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m "slow and not gpu"

test-onnx: $(VENV)/.test
	$(BIN)/python -m tests.onnx_nodes.run

test-neon: $(VENV)/.test
	@echo "the first time, this fetches 180 MB from Debian and PyPI into build/"
	@if $(BIN)/python -m tests.aarch64.machine; then $(BIN)/python -m pytest -m neon; fi

COUNT := 1000
FIRST := 0

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.random_networks --count $(COUNT) --first $(FIRST) --output build/failing

SECONDS := 300

fuzz-files: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp is newer than what was installed for it, so a second call installs nothing.
$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	@echo "installing lascompile and what the demonstration needs"
	@$(PIP) install --quiet --editable '.[models,zig]'
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	@echo "installing lascompile and what the tests need"
	@$(PIP) install --quiet --editable '.[models,bench,zig,tune,cuda,test]'
	@touch $@

# PyTorch's own index has builds without CUDA's gigabytes. Where it cannot be reached, pip goes on with what it
# has been configured to use; it is asked for torch alone, so as not to wait for it once for each dependency.
$(VENV)/.torch: $(VENV)/.created
	@echo "installing PyTorch (about 200 MB; without its CPU index, several GB)"
	@$(PIP) install -qq --no-deps --retries 1 --timeout 10 'torch==2.13.0' \
		--extra-index-url https://download.pytorch.org/whl/cpu 2>/dev/null \
		|| $(PIP) install --quiet --no-deps 'torch==2.13.0'
	@touch $@

$(VENV)/.created:
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10); do \
		$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
			&& found=$$python && break; \
	done; \
	test "$$found" || { \
		echo "make: no Python 3.10 to 3.13 $(if $(PYTHON),in PYTHON=$(PYTHON),found):" \
			"install one, or name it with PYTHON=/path/to/python" >&2; exit 1; }; \
	$$found -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $$found cannot make virtual environments:" \
			"run \`sudo apt install python3-venv\`, then make again" >&2; exit 1; }; \
	echo "creating $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV)
	@touch $@
