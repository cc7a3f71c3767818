# One round of hard negatives on a mock survey, with its control arm: does it help?
#
#   make -f examples/hard-negatives.mk WORK=work-hard
#
# The same model trains three times: on the stratified negatives, on these and those that the first model scored highest
# in the train split, and on these and as many random ones. The last two are compared on the same test galaxies.
WORK ?= work-hard
COUNT ?= 600
SKY ?= --galaxies 6000 --lenses 300 --seed 42
TRAIN ?= --normalise asinh --epochs 6 --samples-per-epoch 750 --batch-size 64 --positive-share 0.3 --seed 42

.PHONY: all
all: $(WORK)/against-control.done $(WORK)/against-first.done

include $(dir $(lastword $(MAKEFILE_LIST)))mock.mk

$(WORK)/negatives.parquet: $(WORK)/pool.parquet $(WORK)/positives.parquet
	lensctl sample $< $@ --positives $(WORK)/positives.parquet --lenses $(WORK)/sky/lenses.csv \
	  --negatives-per-positive 5 --overwrite

$(WORK)/manifest-first.parquet: $(WORK)/positives.zarr.done $(WORK)/pool.zarr.done $(WORK)/negatives.parquet
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/pool.zarr --overwrite

# What the first model makes of the whole pool, and the two arms drawn by it
$(WORK)/pool-scores.parquet: $(WORK)/run-first.done
	lensctl score $(WORK)/run-first $(WORK)/pool.zarr $@ --overwrite

$(WORK)/hard.parquet: $(WORK)/pool-scores.parquet
	lensctl sample $(WORK)/pool.parquet $@ --hard $< --count $(COUNT) --lenses $(WORK)/sky/lenses.csv \
	  --manifest $(WORK)/manifest-first.parquet --overwrite

$(WORK)/control.parquet: $(WORK)/pool-scores.parquet
	lensctl sample $(WORK)/pool.parquet $@ --hard $< --count $(COUNT) --lenses $(WORK)/sky/lenses.csv \
	  --manifest $(WORK)/manifest-first.parquet --control --overwrite

$(WORK)/manifest-hard.parquet $(WORK)/manifest-control.parquet: $(WORK)/manifest-%.parquet: $(WORK)/%.parquet
	lensctl manifest $@ --positives $(WORK)/positives.parquet $(WORK)/positives.zarr \
	  --negatives $(WORK)/negatives.parquet $(WORK)/pool.zarr --hard $< $(WORK)/pool.zarr --overwrite

$(WORK)/run-%.done: $(WORK)/manifest-%.parquet
	lensctl train $< $(WORK)/run-$* $(TRAIN) --resume --overwrite
	@touch $@

$(WORK)/scores-%.parquet: $(WORK)/run-%.done
	lensctl score $(WORK)/run-$* $(WORK)/manifest-$*.parquet $@ --overwrite

# The verdict: the hard arm against the control arm, and against the model that it began with
$(WORK)/against-%.done: $(WORK)/scores-hard.parquet $(WORK)/scores-%.parquet
	lensctl evaluate $< $(WORK)/against-$* --against $(WORK)/scores-$*.parquet --overwrite
	@touch $@
