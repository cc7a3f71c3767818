# The same pipeline on the real DR10; needs internet access and the sweeps. See docs/howto/real-dr10.md.
#
#   make -f examples/real.mk plan          rows, hours and disk, as far as they are known
#   make -n -f examples/real.mk            the same, and every command that is still to be run
#   make -f examples/real.mk               everything; after a stop, the same command goes on
#
# Targets are files and, beside a folder, its stamp: what a failed step made stays, and is resumed by the next `make`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

WORK ?= work
BIN ?=
ifneq ($(BIN),)
export PATH := $(BIN):$(PATH)
endif

# The sweeps: a folder's glob, s3://, or the list of checksums beside them on a web server. What comes from a web server
# is kept in DOWNLOADS; DOWNLOADS= keeps nothing, and then crossmatch and pool each fetch all of it.
DR10 ?= https://portal.nersc.gov/cfs/cosmo/data/legacysurvey/dr10
SWEEPS ?= $(DR10)/south/sweep/10.1/legacysurvey_dr10_south_sweep_10.1.sha256sum
DOWNLOADS ?= $(WORK)/catalogues

# Brick coadds: on disk or S3 (CUTOUT='--source coadd --root /data/dr10/south'), or by HTTP, which fetches only the tiles
# it needs. The cutout service gives one cutout at a time and is shared by all: others waited 6 days for 480,000. For
# small sets, and examples/evening, it is CUTOUT='--source viewer'. Positives and negatives always come from the same
# source, else `gate homogeneity` says no.
CUTOUT ?= --source coadd --root $(DR10)/south

# Further options of each step, such as SAMPLE='--negatives-per-positive 10' or GATES='--config gates.yaml'
CROSSMATCH ?=
POOL ?=
SAMPLE ?=
MANIFEST ?=
GATES ?=
TRAIN ?=
SCORE ?=
EVALUATE ?=
FREEZE ?=
VERIFY ?=

KEEP := $(if $(DOWNLOADS),--downloads $(DOWNLOADS))
DRY := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))

.PHONY: all plan
all: $(if $(DRY),plan) $(WORK)/verified.passed

# What is to be done, from the --dry-run of each step whose input is there; it runs under `make -n` too
plan:
	+@echo "lenscat 1.1.3 has 32,838 rows; taken are the 5,104 with DESI- in the name, candidates found in these images" >&2
	+@echo "$(if $(findstring $(DR10),$(SWEEPS)),catalogues: 1436 files and some 1.8 TB (estimated from five of them))" >&2
	+@if [ -e $(WORK)/pool.parquet -a -e $(WORK)/positives.parquet ]; then \
	  lensctl sample $(WORK)/pool.parquet $(WORK)/negatives.parquet --positives $(WORK)/positives.parquet \
	    --lenses $(WORK)/lenscat.csv $(SAMPLE) --dry-run --overwrite; \
	else echo "negatives: their number is known once positives.parquet and pool.parquet are there" >&2; fi
	+@for table in positives negatives; do if [ -e $(WORK)/$$table.parquet ]; then \
	  lensctl cutout $(WORK)/$$table.parquet $(WORK)/$$table.zarr $(CUTOUT) --dry-run; \
	else echo "cutouts: hours and disk are told once $$table.parquet is there" >&2; fi; done

# The lenscat catalogue as shipped in its package. Of its 32,838 rows, crossmatch takes the 5,104 with DESI- anywhere in
# the name: candidates found in these very images, so that a model can see what made them lenses. The others, found
# elsewhere, only keep negatives away. CROSSMATCH="--name-contains ''" takes all that are graded.
$(WORK)/lenscat.csv:
	mkdir -p $(WORK)/lenscat
	python -m pip install --quiet --no-deps --target $(WORK)/lenscat lenscat
	cp "$$(find $(WORK)/lenscat -name catalog.csv | head -n 1)" $@

$(WORK)/positives.parquet: $(WORK)/lenscat.csv
	lensctl crossmatch $< '$(SWEEPS)' $@ --unmatched $(WORK)/unmatched.csv $(KEEP) $(CROSSMATCH) --overwrite

$(WORK)/pool.parquet: $(WORK)/lenscat.csv
	lensctl pool '$(SWEEPS)' $@ --lenses $< $(KEEP) $(POOL) --overwrite
	@touch $@

$(WORK)/pool.passed: $(WORK)/pool.parquet
	lensctl gate pool $< $(GATES) > $(WORK)/pool.jsonl
	@touch $@

$(WORK)/negatives.parquet: $(WORK)/pool.parquet $(WORK)/positives.parquet $(WORK)/pool.passed
	lensctl sample $< $@ --positives $(WORK)/positives.parquet --lenses $(WORK)/lenscat.csv \
	  --strata $(WORK)/strata.csv $(SAMPLE) --overwrite

$(WORK)/%.zarr.done: $(WORK)/%.parquet
	lensctl cutout $< $(WORK)/$*.zarr $(CUTOUT)
	@touch $@

$(WORK)/manifest.parquet: $(WORK)/positives.zarr.done $(WORK)/negatives.zarr.done
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/negatives.zarr $(MANIFEST) --overwrite

$(WORK)/manifest.passed: $(WORK)/manifest.parquet
	lensctl gate splits,overlap,pixels,homogeneity,weights,shortcut $< $(GATES) > $(WORK)/manifest.jsonl
	@touch $@

$(WORK)/run.done: $(WORK)/manifest.parquet $(WORK)/manifest.passed
	lensctl train $< $(WORK)/run --resume $(TRAIN)
	@touch $@

$(WORK)/scores.parquet: $(WORK)/run.done
	lensctl score $(WORK)/run $(WORK)/manifest.parquet $@ $(SCORE) --overwrite

$(WORK)/evaluation.done: $(WORK)/scores.parquet
	lensctl evaluate $< $(WORK)/evaluation $(EVALUATE) --overwrite
	@touch $@

$(WORK)/trained.passed: $(WORK)/evaluation.done
	lensctl gate trained $(WORK)/evaluation $(GATES) > $(WORK)/trained.jsonl
	@touch $@

$(WORK)/frozen.done: $(WORK)/trained.passed $(WORK)/pool.passed
	lensctl freeze $(WORK)/run $(WORK)/frozen --evaluation $(WORK)/evaluation \
	  --manifest $(WORK)/manifest.parquet --gates $(WORK)/pool.jsonl \
	  --gates $(WORK)/manifest.jsonl --gates $(WORK)/trained.jsonl $(FREEZE) --overwrite
	@touch $@

$(WORK)/verified.passed: $(WORK)/frozen.done
	lensctl verify $(WORK)/frozen $(VERIFY) > $(WORK)/verified.jsonl
	@touch $@
