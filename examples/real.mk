# The same pipeline on the real DR10; needs internet access and the sweeps. See README.md beside this file.
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
all: $(WORK)/verified.jsonl

# The lenscat catalogue as shipped in its package
$(WORK)/lenscat.csv:
	mkdir -p $(WORK)/lenscat
	python -m pip install --quiet --no-deps --target $(WORK)/lenscat lenscat
	cp "$$(find $(WORK)/lenscat -name catalog.csv | head -n 1)" $@

$(WORK)/positives.parquet: $(WORK)/lenscat.csv
	lensctl crossmatch $< '$(SWEEPS)' $@ --unmatched $(WORK)/unmatched.csv --overwrite

$(WORK)/pool.parquet: $(WORK)/lenscat.csv
	lensctl pool '$(SWEEPS)' $@ --lenses $< --overwrite

$(WORK)/pool.jsonl: $(WORK)/pool.parquet
	lensctl gate pool $< > $@

$(WORK)/negatives.parquet: $(WORK)/pool.parquet $(WORK)/positives.parquet $(WORK)/pool.jsonl
	lensctl sample $< $@ --positives $(WORK)/positives.parquet --lenses $(WORK)/lenscat.csv \
	  --strata $(WORK)/strata.csv --overwrite

$(WORK)/%.zarr/zarr.json: $(WORK)/%.parquet
	lensctl cutout $< $(WORK)/$*.zarr $(CUTOUT)
	@touch $@

$(WORK)/manifest.parquet: $(WORK)/positives.zarr/zarr.json $(WORK)/negatives.zarr/zarr.json
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/negatives.zarr --overwrite

$(WORK)/manifest.jsonl: $(WORK)/manifest.parquet
	lensctl gate splits,overlap,pixels,homogeneity,weights,shortcut $< > $@

$(WORK)/run/run.json: $(WORK)/manifest.parquet $(WORK)/manifest.jsonl
	lensctl train $< $(WORK)/run --resume $(TRAIN)

$(WORK)/scores.parquet: $(WORK)/run/run.json
	lensctl score $(WORK)/run $(WORK)/manifest.parquet $@ --overwrite

$(WORK)/evaluation/metrics.json: $(WORK)/scores.parquet
	lensctl evaluate $< $(WORK)/evaluation --overwrite

$(WORK)/trained.jsonl: $(WORK)/evaluation/metrics.json
	lensctl gate trained $(WORK)/evaluation > $@

$(WORK)/frozen/SHA256SUMS: $(WORK)/trained.jsonl
	lensctl freeze $(WORK)/run $(WORK)/frozen --evaluation $(WORK)/evaluation \
	  --manifest $(WORK)/manifest.parquet --gates $(WORK)/pool.jsonl \
	  --gates $(WORK)/manifest.jsonl --gates $< --overwrite

$(WORK)/verified.jsonl: $(WORK)/frozen/SHA256SUMS
	lensctl verify $(WORK)/frozen > $@
