# Every command of the project. `make` prints them.

# What you may override: make report PROFILE=smoke PYTHON=python3.12
PROFILE ?= full# the parameter set: full, quick, smoke, original, best, or your own file in notebooks/profiles
PYTHON ?= python3# the Python that makes the environment: 3.11 to 3.13
GRID ?= experiments.yaml# what make experiments runs
WORKERS ?=# how many of them at once; as many as this machine has room for by default
SCHEDULER ?=# address of a running Dask scheduler, tcp://host:8786
LAB ?=# more options of make lab, such as --no-browser --port=9999
KAGGLE ?=# a competition on Kaggle that make submit sends to, as in kaggle.com/competitions/NAME
MESSAGE ?=# what its leaderboard shows beside the submission; the group, the model and its score by default
SLURM ?=# settings of a Slurm cluster, a file such as pipeline/slurm.yaml

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
ENVIRONMENT := .venv/.complete
RUN := .venv/bin/python -m
# One make at a time writes to an output folder: a second one waits, then finds what the first has made.
ALONE = +@$(PYTHON) pipeline/one_at_a_time.py $(or $1,$(OUTPUT)/.lock) $(MAKE) --no-print-directory
export PYTHONUTF8 := 1
export KERAS_BACKEND := tensorflow
# As they were given, for no shell reads them.
export LEADERBOARD_COMPETITION = $(value KAGGLE)
export LEADERBOARD_MESSAGE = $(value MESSAGE)

.PHONY: help
help: ## print this list, and how things stand
	@echo "make COMMAND [PROFILE=full|quick|smoke|original|best]"
	@echo "make lab [LAB='--no-browser --port=9999']"
	@echo "make submit [KAGGLE=COMPETITION] [MESSAGE=TEXT]"
	@echo "make experiments [GRID=FILE] [WORKERS=NUMBER] [SCHEDULER=tcp://HOST:PORT | SLURM=FILE]"
	@awk -F ":.*## " "/^[a-z]+:.*## / {printf \"  make %-11s %s\\n\", \$$1, \$$2}" $(MAKEFILE_LIST)
	@$(PYTHON) pipeline/state.py "$(MAKE)" "$(PROFILE)"

.PHONY: report report-now
report: ## the hand-in: executed notebooks and PDFs of all parts, in reports/, and a page about it, index.html
	$(ALONE) report-now
report-now: $(PARTS:%=$(OUTPUT)/%.pdf) $(OUTPUT)/index.html
	@echo "The hand-in is in $(OUTPUT)/: $(PARTS:%=%.ipynb) $(PARTS:%=%.pdf), and index.html to look at them from"

.PHONY: submit submit-now
submit: ## submission.csv from the best model of part 2, checked; with KAGGLE=NAME it is sent to that competition
	$(ALONE) submit-now
SENDING := $(filter command%,$(origin KAGGLE))
submit-now: $(if $(SENDING),can-send) $(OUTPUT)/submission.csv
	@$(RUN) $(if $(SENDING),pipeline.leaderboard,pipeline.submission check) --profile $(PROFILE)

.PHONY: can-send
can-send: $(ENVIRONMENT)
	@$(RUN) pipeline.leaderboard --check

.PHONY: score score-now
score: ## the local leaderboard: the submission against the held-out labels
	$(ALONE) score-now
score-now: $(OUTPUT)/submission.csv
	@$(RUN) pipeline.submission score --profile $(PROFILE)
	@test ! -e $(OUTPUT)/index.html || $(RUN) pipeline.index_page --profile $(PROFILE)

.PHONY: test
test: $(ENVIRONMENT) ## all tests, from single functions to a small run through to PDFs
	@echo "All tests take about 20 minutes on two cores; one file: .venv/bin/python -m pytest tests/test_f1.py"
	.venv/bin/python -m pytest

.PHONY: lint
lint: $(ENVIRONMENT) ## style of code and notebooks
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

.PHONY: verify verify-now
verify: ## run the smoke profile twice and compare bit for bit; compare the hand-in with git
	$(call ALONE,reports/.verify.lock) verify-now
verify-now: $(ENVIRONMENT) data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5
	@echo "Two small runs from nothing, about three minutes; what they leave stays in reports/.verify-first and reports/.verify-second"
	@$(RUN) pipeline.verify

.PHONY: fuzz
fuzz: $(ENVIRONMENT) ## half an hour of damaged and hostile files for everything that reads one
	VIRTUAL_ENV=.venv .venv/bin/uv run --quiet --no-project --with atheris==3.0.0 --with coverage==7.17.3 python -m benchmarks.fuzz

# Findings of the audit that do not touch us, as `--ignore-vuln ID`, each with its reason in a comment here. There are none.
ACCEPTED_FINDINGS :=
.PHONY: audit
audit: $(ENVIRONMENT) ## look the locked packages up in the database of known vulnerabilities
	.venv/bin/uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip -r requirements.txt $(ACCEPTED_FINDINGS)

.PHONY: lab
lab: $(ENVIRONMENT) ## JupyterLab on the notebooks, in your browser; Ctrl-C ends it
	@echo "JupyterLab opens in your browser, or at the address below. What you run there goes to reports/by_hand/. Ctrl-C here ends it."
	@PYTHONPATH="$$PWD" .venv/bin/python -m jupyterlab --FileContentsManager.preferred_dir=notebooks --KernelManager.transport_encryption=auto --LabApp.default_url=/lab/tree/notebooks/welcome.ipynb --log-level=WARN $(LAB)

.PHONY: data
data: data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5 ## download the data sets

.PHONY: bench
bench: $(ENVIRONMENT) benchmarks/packages/.complete data/mnist/train-images-idx3-ubyte data/Fashion_MNIST.h5 ## all measurements, half a day long; those in benchmarks/runs are kept
	$(RUN) benchmarks.recipes
	test -e benchmarks/runs/speed.json || $(RUN) benchmarks.speed
	test -e benchmarks/runs/peers.json || $(RUN) benchmarks.peers
	test -e benchmarks/scaling.json || $(RUN) benchmarks.scaling
	$(RUN) benchmarks.summary

benchmarks/packages/.complete: benchmarks/requirements.txt | $(ENVIRONMENT)
	.venv/bin/uv pip install --quiet --target $(@D) -r $< -c requirements.txt
	@touch $@

.PHONY: experiments
experiments: $(ENVIRONMENT) data/Fashion_MNIST.h5 ## part 3's runs, hours of them; stop and start it at any time, finished runs are kept
	@$(RUN) pipeline.experiments --grid "$(GRID)" $(if $(SCHEDULER),--scheduler "$(SCHEDULER)") $(if $(SLURM),--slurm "$(SLURM)") $(if $(WORKERS),--workers "$(WORKERS)")

.PHONY: readme
readme: $(ENVIRONMENT) ## the README's results table from the metrics files
	$(RUN) pipeline.readme

.PHONY: lock
lock: $(ENVIRONMENT) ## resolve requirements.in again for all platforms
	.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --quiet requirements.in -o requirements.txt

.PHONY: clean
clean: ## remove what make built and git does not track; the data and the environment stay
	git clean -fdXq reports pipeline tests benchmarks notebooks

$(ENVIRONMENT): requirements.txt
	@$(PYTHON) pipeline/set_up.py .venv

data/mnist/train-images-idx3-ubyte: | $(ENVIRONMENT)
	@$(RUN) pipeline.fetch_data mnist

data/Fashion_MNIST.h5: | $(ENVIRONMENT)
	@$(RUN) pipeline.fetch_data fashion_mnist

$(OUTPUT)/part1_mnist.ipynb: data/mnist/train-images-idx3-ubyte explore.py
$(OUTPUT)/part2_fashion_mnist.ipynb: data/Fashion_MNIST.h5 explore.py $(EXPERIMENTS)
$(OUTPUT)/part3_experiments.ipynb: $(EXPERIMENTS)
$(OUTPUT)/%.ipynb: notebooks/%.ipynb notebooks/profiles/$(PROFILE).yaml handin.yaml utilities.py $(ENVIRONMENT)
	@$(RUN) pipeline.run_notebook $* --profile $(PROFILE)

$(OUTPUT)/%.pdf: $(OUTPUT)/%.ipynb pipeline/make_pdf.py $(wildcard pipeline/handin_pdf/*.py pipeline/handin_pdf/templates/handin_pdf/*)
	@$(RUN) pipeline.make_pdf $< $@

$(OUTPUT)/index.html: $(PARTS:%=$(OUTPUT)/%.ipynb) pipeline/index_page.py pipeline/templates/index.html.j2
	@$(RUN) pipeline.index_page --profile $(PROFILE)

# The model is written by the run of part 2, after the time its notebook bears; only if it is lost is part 2 run again. Make
# looks for it before that run, so whether it is there is asked once more.
$(OUTPUT)/models/part2_best.keras: $(OUTPUT)/part2_fashion_mnist.ipynb
	@test -f $@ || $(RUN) pipeline.run_notebook part2_fashion_mnist --profile $(PROFILE)

$(OUTPUT)/submission.csv: $(OUTPUT)/models/part2_best.keras
	@$(RUN) pipeline.submission write --profile $(PROFILE)
