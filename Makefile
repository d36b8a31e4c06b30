# Short names for what .ci/bootstrap.py runs; nothing here does any work of its own.
PYTHON ?= python3
RUN = $(PYTHON) .ci/bootstrap.py

.PHONY: demo test check docs bench conformance walk lock
demo test:
	$(RUN) $@
check:
	$(RUN) run .ci/check
docs:
	$(RUN) run python docs/generate.py
	$(RUN) run python -m pytest tests/test_docs.py
bench:
	$(RUN) run python -m tests.bench
# On both event loops, or on one: LOOPS=asyncio.
conformance: LOOPS ?= asyncio trio
conformance:
	CONFORMANCE_LOOPS="$(LOOPS)" $(RUN) run python -m pytest tests/conformance
# Steps by chance through tests/model; the same SEED takes the same ones.
walk: N ?= 100000
walk: SEED ?= 1
walk:
	$(RUN) run python -m tests.model $(N) $(SEED)

# Needs uv. Takes the newest of everything that pyproject.toml allows.
lock:
	uv pip compile --upgrade --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --all-extras --group dev pyproject.toml --output-file dev.lock
