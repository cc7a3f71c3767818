# From a mock survey to positives, pool and cutouts: what hard-negatives.mk and compare.mk begin with.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

BIN ?=
ifneq ($(BIN),)
export PATH := $(BIN):$(PATH)
endif

$(WORK)/sky.done:
	@mkdir -p $(WORK)
	lensctl sky $(WORK)/sky $(SKY) --overwrite
	@touch $@

$(WORK)/positives.parquet: $(WORK)/sky.done
	lensctl crossmatch $(WORK)/sky/lenses.csv '$(WORK)/sky/south/tractor/*/*.fits' $@ --overwrite

$(WORK)/pool.parquet: $(WORK)/sky.done
	lensctl pool '$(WORK)/sky/south/sweep/10.0/*.fits' $@ --lenses $(WORK)/sky/lenses.csv --overwrite
	@touch $@

$(WORK)/%.zarr.done: $(WORK)/%.parquet
	lensctl cutout $< $(WORK)/$*.zarr --source coadd --root $(WORK)/sky --overwrite
	@touch $@
