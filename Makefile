# Every command of the project. `make` prints them.

# Variables that you may override: make report PROFILE=smoke PYTHON=python3.12
PROFILE ?= full# the parameter set: full, quick, smoke, original, best, or your own file in notebooks/profiles
PYTHON ?= python3# the Python that creates the environment: 3.11 to 3.13
GRID ?= experiments.yaml# the grid of make experiments
WORKERS ?=# its number of runs at once; by default as many as fit on this machine
SCHEDULER ?=# address of a running Dask scheduler, tls://host:8786
INSECURE ?=# 1 allows SCHEDULER on another machine, and SLURM, without TLS: whoever reaches that network can run code as you
LAB ?=# options of make lab, such as --no-browser --port=9999
KAGGLE ?=# the Kaggle competition that make submit sends to, as in kaggle.com/competitions/NAME
MESSAGE ?=# the message on its leaderboard; by default the group, the model and its score
QUICK ?=# 1 makes make bench measure only a table, in a few minutes
GPU ?=# 1 trains on a GPU of NVIDIA's, on Linux x86-64, in an environment of its own, .venv-gpu
SLURM ?=# a file with settings of a Slurm cluster, such as pipeline/experiments/slurm.yaml

PROFILES := $(sort $(basename $(notdir $(wildcard notebooks/profiles/*.yaml))))
ifneq ($(words $(PROFILE)) $(if $(findstring %,$(PROFILE)),,$(filter $(PROFILE),$(PROFILES))),1 $(PROFILE))
$(error there is no profile '$(PROFILE)': expected one of $(PROFILES), or a file of your own in notebooks/profiles)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

OUTPUT := reports$(if $(filter-out full,$(PROFILE)),/$(PROFILE))
PARTS := part1_mnist part2_fashion_mnist part3_experiments
EXPERIMENTS := experiments.yaml reports/experiments.csv reports/experiments_epochs.csv
VENV := .venv$(if $(filter 1,$(GPU)),-gpu)
ENVIRONMENT := $(VENV)/.complete
LOCKED := requirements pipeline/kaggle pipeline/gpu# packages of the environment, Kaggle's client and a GPU, .in and .txt
RUN := $(VENV)/bin/python -m
# One make at a time writes to an output folder: a second one waits, then finds the results of the first.
WITH_LOCK = +@$(PYTHON) pipeline/lock.py $(or $1,$(OUTPUT)/.lock) $(MAKE) --no-print-directory
export PYTHONUTF8 := 1
export KERAS_BACKEND := tensorflow
export GPU
export UV_SYSTEM_CERTS := true# uv trusts the certificates that pip does, also behind a proxy
# Passed as they are, so that no shell expands them.
export LEADERBOARD_COMPETITION = $(value KAGGLE)
export LEADERBOARD_MESSAGE = $(value MESSAGE)

.PHONY: help
help: ## print this list and the status
	@echo "make COMMAND [PROFILE=full|quick|smoke|original|best]"
	@echo "make report [GPU=1]"
	@echo "make lab [LAB='--no-browser --port=9999']"
	@echo "make submit [KAGGLE=COMPETITION] [MESSAGE=TEXT]"
	@echo "make experiments [GRID=FILE] [WORKERS=NUMBER] [SCHEDULER=tls://HOST:PORT | SLURM=FILE] [INSECURE=1]"
	@awk -F ":.*## " "/^[a-z-]+:.*## / {printf \"  make %-11s %s\\n\", \$$1, \$$2}" $(MAKEFILE_LIST)
	@$(PYTHON) pipeline/state.py "$(MAKE)" "$(PROFILE)"

.PHONY: report report-now
report: ## the hand-in: executed notebooks, PDFs and an index page of all parts, in reports/
	$(WITH_LOCK) report-now
report-now: estimate $(PARTS:%=$(OUTPUT)/%.pdf) $(OUTPUT)/index.html
	@echo "The hand-in is in $(OUTPUT)/: $(PARTS:%=%.ipynb) $(PARTS:%=%.pdf), and index.html with links to them"

.PHONY: estimate
estimate: $(ENVIRONMENT)
	@$(RUN) pipeline.calibration "$(MAKE)" $(PROFILE)

.PHONY: submit submit-now
submit: ## a checked submission.csv from the best model of part 2; KAGGLE=NAME sends it to that competition
	$(WITH_LOCK) submit-now
SENDING := $(filter command%,$(origin KAGGLE))
submit-now: $(if $(SENDING),can-send) $(OUTPUT)/submission.csv
	@$(RUN) $(if $(SENDING),pipeline.leaderboard,pipeline.submission check) --profile $(PROFILE)

.PHONY: can-send
can-send: $(ENVIRONMENT)
	@$(RUN) pipeline.leaderboard --check

.PHONY: score score-now
score: ## the local leaderboard: the submission against the held-out labels
	$(WITH_LOCK) score-now
score-now: $(OUTPUT)/submission.csv
	@$(RUN) pipeline.submission score --profile $(PROFILE)
	@test ! -e $(OUTPUT)/index.html || $(RUN) pipeline.index_page --profile $(PROFILE)

# What the tests need beside the environment; they run on all cores, in a copy of this folder.
TESTED := $(ENVIRONMENT) data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5
PYTEST := $(VENV)/bin/python -m pytest --numprocesses auto
.PHONY: test
test: $(TESTED) ## the tests, about five minutes on two cores, with coverage
	$(PYTEST) -m "not slow" --cov

.PHONY: test-slow
test-slow: $(TESTED) ## the slow tests: kills, full disks, browser, damaged and hostile files
	$(PYTEST) -m slow

.PHONY: test-all
test-all: test test-slow ## all tests

.PHONY: lint
lint: $(ENVIRONMENT) ## check style, and which package imports which
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo

.PHONY: verify verify-now
verify: ## run the smoke profile twice and compare bit for bit; compare the hand-in with the committed one
	$(call WITH_LOCK,reports/.verify.lock) verify-now
verify-now: $(ENVIRONMENT) data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5
	@echo "Two small runs from scratch, about three minutes; their results are kept in reports/.verify-first and reports/.verify-second"
	@$(RUN) pipeline.verify

# Accepted findings of the audit as `--ignore-vuln ID`, each with its reason in a comment here.
ACCEPTED_FINDINGS :=
.PHONY: audit
audit: $(ENVIRONMENT) ## check the locked packages for known vulnerabilities
	set -e; for name in $(LOCKED); do \
		$(VENV)/bin/uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip -r $$name.txt $(ACCEPTED_FINDINGS); \
	done

.PHONY: lab
lab: $(ENVIRONMENT) ## JupyterLab with the notebooks, in your browser; Ctrl-C ends it
	@echo "JupyterLab opens in your browser, or at the address below. Results of runs by hand go to reports/by_hand/. Ctrl-C here ends it."
	@PYTHONPATH="$$PWD" $(VENV)/bin/python -m jupyterlab --FileContentsManager.preferred_dir=notebooks --KernelManager.transport_encryption=auto --LabApp.default_url=/lab/tree/notebooks/welcome.ipynb --log-level=WARN $(LAB)

.PHONY: data
data: data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5 ## download the data sets

.PHONY: bench
bench: $(ENVIRONMENT) benchmarks/packages/.complete data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5 ## all benchmarks, half a day; existing runs in benchmarks/runs are kept; QUICK=1 prints a table in minutes
ifeq ($(QUICK),1)
	@$(RUN) benchmarks.peers --quick
else
	$(RUN) benchmarks.recipes
	test -e benchmarks/runs/speed.json || $(RUN) benchmarks.speed
	test -e benchmarks/runs/peers.json || $(RUN) benchmarks.peers
	$(RUN) benchmarks.summary
endif

benchmarks/packages/.complete: benchmarks/requirements.txt | $(ENVIRONMENT)
	$(VENV)/bin/uv pip install --quiet --target $(@D) -r $< -c requirements.txt
	@touch $@

.PHONY: experiments
experiments: $(ENVIRONMENT) data/Fashion_MNIST.h5 ## the runs of part 3, a night; stop and start it at any time, finished runs are kept
	@$(RUN) pipeline.experiments.sweep --grid "$(GRID)" $(if $(SCHEDULER),--scheduler "$(SCHEDULER)") $(if $(SLURM),--slurm "$(SLURM)") $(if $(INSECURE),--insecure) $(if $(WORKERS),--workers "$(WORKERS)")

.PHONY: readme
readme: $(ENVIRONMENT) ## the results in README.md and docs/, from the metrics files
	$(RUN) pipeline.readme

.PHONY: lock
lock: $(ENVIRONMENT) ## resolve requirements.in, pipeline/kaggle.in and pipeline/gpu.in again for all platforms
	set -e; for name in $(LOCKED); do \
		$(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--custom-compile-command "make lock" --quiet $$name.in -o $$name.txt; \
	done

.PHONY: clean
clean: ## remove caches, checkpoints, models and results; data, experiments and submissions.csv stay
	git clean -fdXq -e '!/reports/experiments/' reports coursework notebook_pdf pipeline tests benchmarks notebooks
	touch -c -t 200001010000 $(PARTS:%=reports/%.ipynb)

$(ENVIRONMENT): requirements.txt pipeline/kaggle.txt $(if $(filter 1,$(GPU)),pipeline/gpu.txt)
	@$(PYTHON) pipeline/set_up.py $(VENV)

data/mnist/train-images-idx3-ubyte: | $(ENVIRONMENT)
	@$(RUN) pipeline.fetch_data mnist

data/Fashion_MNIST.h5: | $(ENVIRONMENT)
	@$(RUN) pipeline.fetch_data fashion_mnist

$(OUTPUT)/part1_mnist.ipynb: data/mnist/train-images-idx3-ubyte
$(OUTPUT)/part2_fashion_mnist.ipynb: data/Fashion_MNIST.h5 $(EXPERIMENTS)
$(OUTPUT)/part3_experiments.ipynb: $(EXPERIMENTS)
$(OUTPUT)/%.ipynb: notebooks/%.ipynb notebooks/profiles/$(PROFILE).yaml handin.yaml utilities.py $(wildcard coursework/*.py) $(ENVIRONMENT)
	@$(RUN) pipeline.run_notebook $* --profile $(PROFILE)

$(OUTPUT)/%.pdf: $(OUTPUT)/%.ipynb $(wildcard notebook_pdf/*.py notebook_pdf/templates/notebook_pdf/*)
	@$(RUN) notebook_pdf $< $@

$(OUTPUT)/index.html: $(PARTS:%=$(OUTPUT)/%.ipynb) pipeline/index_page.py pipeline/templates/index.html.j2
	@$(RUN) pipeline.index_page --profile $(PROFILE)

# The run of part 2 writes the model, after the time of its notebook. Make checks for the model before that run, so the
# recipe checks again, and runs part 2 only if the model was lost.
$(OUTPUT)/models/part2_best.keras: $(OUTPUT)/part2_fashion_mnist.ipynb
	@test -f $@ || $(RUN) pipeline.run_notebook part2_fashion_mnist --profile $(PROFILE)

$(OUTPUT)/submission.csv: $(OUTPUT)/models/part2_best.keras
	@$(RUN) pipeline.submission write --profile $(PROFILE)
