# The same pipeline on the real DR10; needs internet access and the sweeps. See docs/howto/real-dr10.md.
# Targets are files and, beside a folder, its stamp: what a failed step made stays, and is resumed by the next `make`.
#
#   make -f examples/real.mk SWEEPS='/data/dr10/sweep/10.0/*.fits' WORK=/data/lensctl
#
# The sweeps: https://portal.nersc.gov/cfs/cosmo/data/legacysurvey/dr10/south/sweep/10.0/
# The cutouts: https://www.legacysurvey.org/viewer, layer ls-dr10
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

SWEEPS ?= $(error set SWEEPS to the sweep files: SWEEPS='/data/dr10/sweep/10.0/*.fits')
WORK ?= work
CUTOUT ?= --source viewer --connections 8
TRAIN ?=

.PHONY: all
all: $(WORK)/verified.passed

# The lenscat catalogue as shipped in its package
$(WORK)/lenscat.csv:
	mkdir -p $(WORK)/lenscat
	python -m pip install --quiet --no-deps --target $(WORK)/lenscat lenscat
	cp "$$(find $(WORK)/lenscat -name catalog.csv | head -n 1)" $@

$(WORK)/positives.parquet: $(WORK)/lenscat.csv
	lensctl crossmatch $< '$(SWEEPS)' $@ --unmatched $(WORK)/unmatched.csv --overwrite

$(WORK)/pool.parquet: $(WORK)/lenscat.csv
	lensctl pool '$(SWEEPS)' $@ --lenses $< --overwrite

$(WORK)/pool.passed: $(WORK)/pool.parquet
	lensctl gate pool $< > $(WORK)/pool.jsonl
	@touch $@

$(WORK)/negatives.parquet: $(WORK)/pool.parquet $(WORK)/positives.parquet $(WORK)/pool.passed
	lensctl sample $< $@ --positives $(WORK)/positives.parquet --lenses $(WORK)/lenscat.csv \
	  --strata $(WORK)/strata.csv --overwrite

$(WORK)/%.zarr.done: $(WORK)/%.parquet
	lensctl cutout $< $(WORK)/$*.zarr $(CUTOUT)
	@touch $@

$(WORK)/manifest.parquet: $(WORK)/positives.zarr.done $(WORK)/negatives.zarr.done
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/negatives.zarr --overwrite

$(WORK)/manifest.passed: $(WORK)/manifest.parquet
	lensctl gate splits,overlap,pixels,homogeneity,weights,shortcut $< > $(WORK)/manifest.jsonl
	@touch $@

$(WORK)/run.done: $(WORK)/manifest.parquet $(WORK)/manifest.passed
	lensctl train $< $(WORK)/run --resume $(TRAIN)
	@touch $@

$(WORK)/scores.parquet: $(WORK)/run.done
	lensctl score $(WORK)/run $(WORK)/manifest.parquet $@ --overwrite

$(WORK)/evaluation.done: $(WORK)/scores.parquet
	lensctl evaluate $< $(WORK)/evaluation --overwrite
	@touch $@

$(WORK)/trained.passed: $(WORK)/evaluation.done
	lensctl gate trained $(WORK)/evaluation > $(WORK)/trained.jsonl
	@touch $@

$(WORK)/frozen.done: $(WORK)/trained.passed
	lensctl freeze $(WORK)/run $(WORK)/frozen --evaluation $(WORK)/evaluation \
	  --manifest $(WORK)/manifest.parquet --gates $(WORK)/pool.jsonl \
	  --gates $(WORK)/manifest.jsonl --gates $(WORK)/trained.jsonl --overwrite
	@touch $@

$(WORK)/verified.passed: $(WORK)/frozen.done
	lensctl verify $(WORK)/frozen > $(WORK)/verified.jsonl
	@touch $@
