# Everything here works on a fresh machine with Python 3.11 or newer, pip and make.
#
#   make demo     set up, and see the whole way once: collect, a file that fails, repair, retry, export, verify
#   make test     set up, and run all tests
#   make quick    set up, and run the tests that need no server, with a tenth of the examples
#   make instants  the tests that kill a job's process, at every instant of its life and with every way out (an hour)
#   make large    every source with 10,000 items, and with an item of 5 GB (half an hour; 12 GB of disk)
#   make explore  the property tests that need no server, with examples that no run before had (5 minutes)
#   make fuzz     set up, and look with atheris for bytes that the readers of what others wrote do not expect (10 minutes)
#   make check    set up, and run ruff, strict mypy, and the rules of how modules import each other
#   make docs     set up, and make the site of the documentation in build/site; fails on dead links
#   make bench    set up, and measure side by side against other tools (at most 30 minutes; on an idle machine)

PYTHON ?= $(firstword $(shell command -v python3.11 python3))
VENV ?= .venv
FUZZ_SECONDS ?= 60
DEMO ?= demo
# Of five processes of all tests some wait for servers at any time; those of make quick only compute.
WORKERS ?=

# With it, each process of the tests would compile all modules, and rewrite all tests, anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
# pip reads dependency groups from 25.1 on.
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The judge of OCFL objects is installed without what it requires: tests/support/ocfl_judge.py says why.
OCFL := ocfl-py
# Blocks of Prefect's integrations, in a folder of their own and without what they require:
# tests/support/integrations_blocks.py says why.
INTEGRATIONS := prefect-gcp prefect-azure

.PHONY: demo test quick instants large explore fuzz check docs bench format clean tools constraints

demo: $(VENV)/installed
	$(BIN)/prefect-collect demo $(DEMO)

test: $(VENV)/installed-test $(VENV)/npm/installed tools
	$(BIN)/python -m pytest -n $(or $(WORKERS),5) --dist loadfile --no-loadscope-reorder $(ARGS)

quick: $(VENV)/installed-test
	QUICK=1 $(BIN)/python -m pytest -n $(or $(WORKERS),4) --dist loadfile --no-loadscope-reorder --ignore tests/integration -m 'not integration' $(ARGS)

instants: $(VENV)/installed-test
	INSTANTS=all $(BIN)/python -m pytest -n $(or $(WORKERS),4) tests/integration/jobs/test_instants.py $(ARGS)
	API_PHASES=examples,coverage,fuzzing $(BIN)/python -m pytest tests/integration/console/test_api.py $(ARGS)

large: $(VENV)/installed-test tools
	LARGE=all $(BIN)/python -m pytest -q -s -o timeout=1800 tests/integration/sources -k 'many_items or 5_gb or large_run' $(ARGS)

explore: $(VENV)/installed-test
	EXPLORE=1 $(BIN)/python -m pytest -n $(or $(WORKERS),4) --ignore tests/integration -m hypothesis $(ARGS)

fuzz: $(VENV)/installed-fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS) $(ARGS)

check: $(VENV)/installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py

# MkDocs Material announces its successor at length.
docs: $(VENV)/installed-docs
	$(BIN)/python -m tools.site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m tools.site check

format: $(VENV)/installed-check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers have an environment of their own: awscli wants a botocore of its own. Some rows need the tests' servers. The
# README has figures of the report also where a target is missed.
bench: $(VENV)/installed-test $(VENV)/peers/installed $(VENV)/npm/installed tools
	$(BIN)/python -m benchmarks $(ARGS); code=$$?; $(BIN)/python -m tools.headline_results; exit $$code

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz build prefect_collect.egg-info

# Pins what a clean environment gets today.
constraints: | $(BIN)/python
	$(BIN)/python -m venv --clear $(VENV)/clean
	$(VENV)/clean/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/clean/bin/python -m pip install --quiet . --group test --group check --group docs
	$(VENV)/clean/bin/python -m pip install --quiet --no-deps $(OCFL) $(INTEGRATIONS)
	$(VENV)/clean/bin/python -m pip freeze --all --exclude prefect-collect --exclude pip > constraints.txt

# Without ensurepip (Debian's python3-venv), this Python's own pip fills the environment.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed, $(PYTHON) is older; name another with make PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
	$(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }

# setuptools warns at length of what editable installations are.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group test
	$(PIP) install --quiet -c constraints.txt --no-deps $(OCFL)
	$(PIP) install --quiet -c constraints.txt --no-deps --upgrade --target $(VENV)/integrations $(INTEGRATIONS)
	@touch $@

$(VENV)/installed-fuzz: $(VENV)/installed-test
	$(PIP) install --quiet -c constraints.txt --group fuzz
	@touch $@

$(VENV)/installed-check: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group check --group test
	$(PIP) install --quiet -c constraints.txt --no-deps $(OCFL)
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group docs
	@touch $@

$(VENV)/peers/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/peers/bin/python -m pip install --quiet --group bench
	@touch $@

$(VENV)/npm/installed: tests/npm/package.json | $(BIN)/python tools
	@mkdir -p $(VENV)/npm && cp tests/npm/package.json $(VENV)/npm/
	@if command -v npm > /dev/null; then \
	  npm install --prefix $(VENV)/npm --no-package-lock --no-audit --no-fund --silent && touch $@; \
	else echo "npm is missing; tests of the pages' accessibility will be skipped, and those on Azurite fail" >&2; fi

# Other people's tools, to which the tests hold the packages (7z is one that is measured too), the browser in which they
# look at Prefect's UI, the mail and database servers, a KDC, the proxy before the console (off the PATH of users), and the database of the
# tests' Prefect servers, which Debian keeps off the PATH.
tools:
	@PATH="$$PATH:/usr/sbin"; \
	for tool in unzip 7z pdftotext openssl chromium chromedriver npm dovecot ssh sshd mariadbd smbd fusermount3 krb5kdc kadmin.local kinit; do command -v $$tool > /dev/null || missing=1; done; \
	command -v nginx > /dev/null || test -x /usr/sbin/nginx || missing=1; \
	ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 || command -v postgres > /dev/null || missing=1; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      unzip p7zip-full poppler-utils openssl chromium chromium-driver nginx postgresql dovecot-imapd openssh-server mariadb-server \
	      samba fuse3 krb5-kdc krb5-admin-server krb5-user \
	      $$(command -v npm > /dev/null || echo npm); \
	  else echo "unzip, 7z, pdftotext, openssl, chromium, npm, nginx, Dovecot, OpenSSH, MariaDB, PostgreSQL, Samba, FUSE or MIT Kerberos is missing (Debian: unzip, p7zip-full, poppler-utils, openssl," \
	       "chromium, npm, chromium-driver, nginx, dovecot-imapd, openssh-server, mariadb-server, postgresql, samba, fuse3, krb5-kdc, krb5-admin-server, krb5-user); tests that need them will not pass, be skipped, or be slow" >&2; fi; \
	fi
