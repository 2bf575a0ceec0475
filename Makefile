# Needs Debian (or similar) with Python 3.11 or newer and make; fetches everything else into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Where PostgreSQL differs: locks, conflicts, search. The trial runs all services on it.
ON_POSTGRESQL := tests/services/test_accounts.py tests/services/test_audit.py tests/services/test_links.py \
	tests/services/test_recovery.py tests/services/test_search.py tests/services/test_sessions.py \
	tests/services/test_transaction.py tests/web/customer/test_account.py
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help run test trial check bench screenshots css packed wheel lock migration
.DEFAULT_GOAL := help

help: ## zeigt diese Liste
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: .venv/ready ## richtet alles ein und startet die Vorführung unter http://127.0.0.1:5000 (PORT=… ändert das)
	@PORT="$(or $(PORT),5000)" exec $(BIN)/kmzportal demo

test: .venv/ready .venv/chromium ## richtet alles ein und prüft alles, auch in echten Browsern
	tools/browsers
	KMZPORTAL_TEST_CHROMIUM="$$(cat .venv/chromium)" $(BIN)/pytest -n 3

trial: .venv/ready .venv/chromium ## prüft, was lange dauert, auch in Firefox und WebKit, und nennt am Ende, was nicht lief
	tools/servers
	tools/browsers
	KMZPORTAL_TEST_BROWSERS=all KMZPORTAL_TEST_CHROMIUM="$$(cat .venv/chromium)" $(BIN)/pytest -m trial -n 2 -ra \
		--ignore=tests/server/test_large_import.py
	$(BIN)/pytest -m trial tests/server/test_large_import.py
	KMZPORTAL_TEST_DATABASE=postgresql $(BIN)/pytest tests/services -n 2
	$(BIN)/python tools/plant_faults

check: .venv/ready .venv/vnu ## prüft Stil, Typen, Vorlagen und Schichten, danach wie `make test`
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/djlint kmzportal/templates --lint --quiet
	$(BIN)/lint-imports
	$(MAKE) test
	KMZPORTAL_TEST_DATABASE=postgresql $(BIN)/pytest $(ON_POSTGRESQL) -n 3
	KMZPORTAL_TEST_VNU="$$(cat .venv/vnu)" $(BIN)/pytest -m java

screenshots: .venv/ready .venv/chromium ## fotografiert alle Seiten in allen Zuständen nach docs/screenshots
	KMZPORTAL_TEST_CHROMIUM="$$(cat .venv/chromium)" $(BIN)/pytest -m pictures

bench: .venv/ready bench/.peers/flask-security/ready bench/.peers/allauth/ready ## misst das Portal neben zwei anderen
	$(BIN)/python -m bench > bench/.peers/results.md
	@cat bench/.peers/results.md && [ "$$BENCH_QUICK" ] || cp bench/.peers/results.md bench

css: ## baut kmzportal/static neu (braucht npm)
	cd tools/look && npm ci --ignore-scripts --no-fund --no-audit && npm run build
	$(MAKE) packed

packed: .venv/ready ## packt die Dateien in kmzportal/static neu
	$(BIN)/python -m whitenoise.compress --quiet --no-brotli kmzportal/static

lock: .venv/ready ## schreibt requirements*.txt neu, mit Prüfsummen
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --generate-hashes --no-header --extra postgres -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --generate-hashes --no-header --all-extras -o requirements-dev.txt
	echo hatchling | $(BIN)/uv pip compile - --upgrade --universal --generate-hashes --no-header -o deploy/build.txt
	printf 'flask-security[fsqla]\nflask-mailman\nargon2-cffi\nemail-validator\ngunicorn\n' | \
		$(BIN)/uv pip compile - --upgrade --universal --generate-hashes --no-header -o bench/flask-security.txt
	printf 'django-allauth\nargon2-cffi\ngunicorn\n' | \
		$(BIN)/uv pip compile - --upgrade --universal --generate-hashes --no-header -o bench/allauth.txt

wheel: .venv/ready ## baut das Paket zum Installieren nach dist
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

migration: .venv/ready ## schreibt eine Version der Datenbank aus den Modellen (NAME="was sich ändert")
	tools/new_migration "$(NAME)"

# One stamp says that .venv holds exactly what requirements-dev.txt and pyproject.toml ask for.
.venv/ready: requirements-dev.txt pyproject.toml
	tools/venv "$(PYTHON)"
	$(PIP) install --quiet --no-compile --require-hashes -r requirements-dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Holds the path of a Chromium that starts; one that is named is tried each time.
.venv/chromium: .venv/ready tools/chromium $(if $(KMZPORTAL_TEST_CHROMIUM),named)
	tools/chromium
named:

# What the portal is measured beside lives in environments of its own.
bench/.peers/%/ready: bench/%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $@

# Holds the path of the W3C's HTML checker.
.venv/vnu: .venv/ready
	tools/vnu
