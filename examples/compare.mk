# Two recipes of training, compared on the same galaxies of a mock survey: is the second better?
#
#   make compare                                        the plan's recipe against the default
#   make compare B='--ema 0.999 --positive-share 0.5'   or any other settings
#
# Both train on the same manifest, with each of SEEDS, and are compared by pairs on its test split. Settings in TRAIN hold
# for both, such as TRAIN='--cutouts-seen 40000' for a first look.
WORK ?= work-compare
SKY ?= --galaxies 18000 --lenses 900 --seed 42
SEEDS ?= 42
A ?= --recipe plan
B ?= --recipe default
TRAIN ?=

.PHONY: all
all: $(SEEDS:%=$(WORK)/b-against-a-%.done)

include $(dir $(lastword $(MAKEFILE_LIST)))mock.mk

$(WORK)/negatives.parquet: $(WORK)/pool.parquet $(WORK)/positives.parquet
	lensctl sample $< $@ --positives $(WORK)/positives.parquet --lenses $(WORK)/sky/lenses.csv --overwrite

$(WORK)/manifest.parquet: $(WORK)/positives.zarr.done $(WORK)/negatives.zarr.done
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/negatives.zarr --overwrite

# Other settings need another WORK, or the stamps of these runs removed
$(WORK)/run-a-%.done: $(WORK)/manifest.parquet
	lensctl train $< $(WORK)/run-a-$* $(A) $(TRAIN) --seed $* --resume --overwrite
	@touch $@

$(WORK)/run-b-%.done: $(WORK)/manifest.parquet
	lensctl train $< $(WORK)/run-b-$* $(B) $(TRAIN) --seed $* --resume --overwrite
	@touch $@

$(WORK)/scores-a-%.parquet: $(WORK)/run-a-%.done
	lensctl score $(WORK)/run-a-$* $(WORK)/manifest.parquet $@ --overwrite

$(WORK)/scores-b-%.parquet: $(WORK)/run-b-%.done
	lensctl score $(WORK)/run-b-$* $(WORK)/manifest.parquet $@ --overwrite

# The verdict: better, worse or not told, by paired intervals
$(WORK)/b-against-a-%.done: $(WORK)/scores-b-%.parquet $(WORK)/scores-a-%.parquet
	lensctl evaluate $< $(WORK)/b-against-a-$* --against $(WORK)/scores-a-$*.parquet --overwrite
	@touch $@
