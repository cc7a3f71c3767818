# A ladder from wrong injections to right ones: what each correction changes of the completeness of one frozen model.
#
#   make -f examples/selection/ladder.mk FROM=demo WORK=work-ladder
#
# FROM is a folder of examples/Makefile: a mock sky, its pool, and a frozen model. The lowest rung injects red sources,
# with the photon noise of a gain of 150 electrons per nanomaggy, into galaxies of the confuser classes, and takes the share of the
# box that is found for completeness. Each correction is made alone, then all together; `ladder.py` draws the figure.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

FROM ?= demo
WORK ?= work-ladder
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
HOSTS ?= 200
PER_HOST ?= 10
THRESHOLD ?= p=0.5
MIN_NEFF ?= 30
ANY ?= ring_proxy,edge_on_proxy,large_galaxy,blue_clumpy
BIN ?=
ifneq ($(BIN),)
export PATH := $(BIN):$(PATH)
endif

# Galaxies, design and gain of each rung
RUNGS := origin colours gain hosts all
RED := --design $(HERE)red.yaml
LOW := --gain $(HERE)gain-150.yaml
origin_HOSTS := any
origin_DESIGN := $(RED)
origin_GAIN := $(LOW)
colours_HOSTS := any
colours_GAIN := $(LOW)
gain_HOSTS := any
gain_DESIGN := $(RED)
hosts_HOSTS := early
hosts_DESIGN := $(RED)
hosts_GAIN := $(LOW)
all_HOSTS := early

.PHONY: all
all: $(RUNGS:%=$(WORK)/detected-%.parquet)
	@python $(HERE)ladder.py draw $(WORK) $(WORK)/ladder.png

# Galaxies that could be lenses, and galaxies of the confuser classes; their pixels, and their scores without an arc
$(WORK)/early.parquet: $(FROM)/pool.parquet
	@mkdir -p $(WORK)/receipts
	lensctl hosts $< $@ --lenses $(FROM)/sky/lenses.csv --count $(HOSTS) --overwrite

$(WORK)/any.parquet: $(FROM)/pool.parquet
	@mkdir -p $(WORK)/receipts
	lensctl hosts $< $@ --lenses $(FROM)/sky/lenses.csv --count $(HOSTS) --category $(ANY) --overwrite

$(WORK)/%.zarr.done: $(WORK)/%.parquet
	lensctl cutout $< $(WORK)/$*.zarr --source coadd --root $(FROM)/sky --planes invvar,maskbits,psfsize --overwrite
	@touch $@

$(WORK)/%.scores.parquet: $(WORK)/%.zarr.done
	lensctl score $(FROM)/frozen $(WORK)/$*.zarr $@ --overwrite

# Injections of each rung, p_det, and the share of the box and of a population that is found
$(WORK)/injections-%.done: $(WORK)/any.zarr.done $(WORK)/early.zarr.done
	lensctl selection measure $(FROM)/frozen $(WORK)/$($*_HOSTS).parquet $(WORK)/$($*_HOSTS).zarr $(WORK)/injections-$* \
	  --per-host $(PER_HOST) $($*_DESIGN) $($*_GAIN)
	@touch $@

$(WORK)/fit-%.done: $(WORK)/injections-%.done $(WORK)/any.scores.parquet $(WORK)/early.scores.parquet
	lensctl selection fit $(WORK)/injections-$* $(WORK)/fit-$* --hosts $(WORK)/$($*_HOSTS).scores.parquet \
	  --frozen $(FROM)/frozen --threshold $(THRESHOLD) --overwrite
	@touch $@

$(WORK)/lenses-%.parquet: $(WORK)/injections-%.done
	@python $(HERE)ladder.py weigh $(WORK)/injections-$* $@

$(WORK)/detected-%.parquet: $(WORK)/fit-%.done $(WORK)/lenses-%.parquet
	lensctl selection apply $(WORK)/fit-$* $(WORK)/lenses-$*.parquet $@ --min-neff $(MIN_NEFF) --overwrite \
	  | tee $(WORK)/receipts/$*.json
