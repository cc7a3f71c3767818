"""Training: what a run holds, the same bytes however it was stopped, and what stops it for good."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import source_commit
from lensctl.io.provenance.steps import Step, extend, stamp
from lensctl.learning.data.row_selection import select_rows
from lensctl.learning.networks import architectures, checkpoint
from lensctl.learning.training import learner
from lensctl.learning.training.early_stopping import RedFlag
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.rules.errors import InputError
from lensctl.train import feeding, fitting
from lensctl.train.fitting import TrainProgress, fit
from tests.toys import damage, rings
from tests.toys.pixels import make_store
from tests.toys.rings import changed

SMALL = TrainConfig(arch="resnet18", crop=16, epochs=2, batch_size=16, lr=3e-3, shift=2, dropout=0.2, patience=10)


FILES = ("best.safetensors", "last.safetensors", "run.json", "metrics.jsonl", "metrics.csv")
OF_THE_WHOLE = ("golden.npz", "val_scores.parquet")


PART = ".run.part/whole"


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    """One thread, and a tiny network in the place of ResNet-18."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.ARCHITECTURES, "resnet18", rings.tiny)
        yield
    torch.set_num_threads(before)


def toy_of() -> tuple[pa.Table, rings.InMemory]:
    return rings.manifest(64)


def run(
    folder: Path, config: TrainConfig = SMALL, toy=None, stop_after: int | None = None, **how
) -> list[TrainProgress]:
    """Train on the toy; `stop_after` so many events the process is gone, as far as files can tell."""
    table, pixels = toy or toy_of()
    events = fit(table, pixels, config, folder / "run", **how)
    if stop_after is None:
        return list(events)
    seen = list(itertools.islice(events, stop_after))
    events.close()
    return seen


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    run(folder)
    return folder / "run"


def test_it_learns_what_there_is_to_learn(tmp_path):
    run(tmp_path, replace(SMALL, arch="shielded", epochs=8, lr=1e-2, positive_share=0.5))
    best = json.loads((tmp_path / "run" / "run.json").read_text())
    assert best["metrics"]["val_auc"] > 0.95


def test_the_folder_holds_what_is_promised_and_nothing_else(straight):
    assert sorted(os.listdir(straight)) == sorted([*FILES, *OF_THE_WHOLE])
    assert not (straight.parent / ".run.part").exists()
    told = json.loads((straight / "run.json").read_text())
    table, _ = toy_of()
    assert told["manifest_digest"] == digests.of_table(table)
    assert told["model_digest"] == digests.of_file(straight / "best.safetensors")
    assert told["config"] == json.loads(json.dumps(SMALL.as_dict()))
    assert told["stopped"] == "all epochs done"
    assert told["source"] == source_commit()
    assert sum(told["rows"]["train"].values()) == table["split"].to_pylist().count("train")
    lines = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert told["metrics"] == max(lines, key=lambda line: line["val_auc"])
    assert set(lines[0]) == {
        "epoch", "lr", "train_loss", "val_loss", "val_auc", "val_precision_at_recall_90", "val_recall_at_precision_90",
        "val_ece", "train_auc",
    }  # fmt: skip


def test_no_clock_host_or_absolute_path_is_in_it(straight):
    for name in ("run.json", "metrics.jsonl", "metrics.csv"):
        text = (straight / name).read_text()
        assert str(straight.parent) not in text
        assert os.uname().nodename not in text
        assert "seconds" not in text


def test_the_chain_goes_from_the_manifests_to_the_run(tmp_path):
    table, pixels = toy_of()
    parent = extend(Step("manifest", {}))
    run(tmp_path, toy=(stamp(table, parent), pixels), manifest_name="folder/m.parquet")
    chain = checkpoint.load_model(tmp_path / "run").chain
    assert [step.command for step in chain] == ["manifest", "train"]
    source = chain[-1].input("manifest")
    assert source is not None
    assert (source.name, source.digest, source.step) == ("m.parquet", digests.of_table(table), parent[-1].id)


def test_the_same_again_gives_the_same_bytes(straight, tmp_path):
    run(tmp_path)
    assert content(tmp_path / "run") == content(straight)


def test_another_seed_gives_other_weights(straight, tmp_path):
    run(tmp_path, replace(SMALL, seed=1))
    assert (tmp_path / "run" / "best.safetensors").read_bytes() != (straight / "best.safetensors").read_bytes()


@pytest.mark.parametrize("feed", ["host", "stream", "device"])
def test_where_the_cutouts_are_kept_does_not_matter(straight, tmp_path, feed):
    run(tmp_path, resources=Resources(feed=feed))
    assert content(tmp_path / "run") == content(straight)


def test_the_manifests_row_order_does_not_change_the_weights(straight, tmp_path):
    table, pixels = toy_of()
    backwards = np.arange(table.num_rows)[::-1]
    run(tmp_path, toy=(table.take(backwards), rings.InMemory(pixels.images[backwards])))
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == (straight / "best.safetensors").read_bytes()


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 6, 8, 9])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(straight, tmp_path, stop_after, every):
    """After 8 all epochs are done, after 9 the scores of val are kept."""
    run(tmp_path, stop_after=stop_after, resources=Resources(checkpoint_every=every))
    assert (tmp_path / PART / "val_scores.parquet").exists() == (stop_after == 9)
    assert not (tmp_path / "run").exists()
    run(tmp_path, resume=True)
    assert content(tmp_path / "run") == content(straight)


@pytest.mark.parametrize("lost", ["best.safetensors", "run.json", "metrics.jsonl"])
def test_a_kill_between_two_files_is_made_good_from_the_last_one(straight, tmp_path, lost):
    run(tmp_path, stop_after=4)  # the first epoch is saved
    (tmp_path / PART / lost).unlink()
    run(tmp_path, resume=True)
    assert content(tmp_path / "run") == content(straight)


def test_within_an_epoch_it_goes_on_from_the_batch_it_was_at(tmp_path):
    run(tmp_path, stop_after=3, resources=Resources(checkpoint_every=1))
    events = run(tmp_path, resume=True)
    assert next(event.batch for event in events if event.batch) == 2
    assert any("0 epochs and 1 batches" in event.note for event in events)


def test_resumed_within_an_epoch_the_best_weights_are_still_those_of_the_best_epoch(tmp_path, monkeypatch):
    real = fitting.epoch_metrics
    falling = lambda learner, position, *a: {**real(learner, position, *a), "val_auc": 0.9 - 0.05 * position.epoch}  # noqa: E731
    monkeypatch.setattr(fitting, "epoch_metrics", falling)
    run(tmp_path, stop_after=6, resources=Resources(checkpoint_every=1))  # within the second epoch
    best = (tmp_path / PART / "best.safetensors").read_bytes()
    run(tmp_path, resume=True)
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == best


def test_a_finished_run_resumed_has_nothing_to_do(straight, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    table, pixels = toy_of()
    assert list(fit(table, pixels, SMALL, tmp_path / "run", resume=True)) == []
    assert pixels.rows_read == 0
    assert content(tmp_path / "run") == content(straight)


@pytest.mark.parametrize("finished", [True, False])
def test_another_config_or_manifest_is_not_resumed_and_the_error_says_what_differs(straight, tmp_path, finished):
    if finished:
        shutil.copytree(straight, tmp_path / "run")
    else:
        run(tmp_path, stop_after=4)
    before = content(tmp_path)
    with pytest.raises(InputError, match=r"lr was 0\.003 and is 0\.01"):
        run(tmp_path, replace(SMALL, lr=0.01), resume=True)
    table, pixels = toy_of()
    with pytest.raises(InputError, match="manifest digest was"):
        run(tmp_path, toy=(changed(table, "sample_weight", 0, 0.25), pixels), resume=True)
    assert content(tmp_path) == before


def test_an_unfinished_run_is_gone_on_with_or_replaced_only_when_told(straight, tmp_path):
    run(tmp_path, replace(SMALL, seed=9), stop_after=4)
    with pytest.raises(InputError, match="unfinished") as error:
        run(tmp_path)
    assert "--resume" in error.value.fix
    assert "--overwrite" in error.value.fix
    run(tmp_path, overwrite=True)
    assert content(tmp_path / "run") == content(straight)


def test_a_finished_run_is_replaced_only_when_told_and_only_once_the_new_one_is_whole(straight, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    with pytest.raises(InputError, match="exists"):
        run(tmp_path, replace(SMALL, seed=1))
    run(tmp_path, replace(SMALL, seed=1), overwrite=True, stop_after=4)
    assert content(tmp_path / "run") == content(straight)
    run(tmp_path, replace(SMALL, seed=1), resume=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["seed"] == 1


@pytest.mark.parametrize("finished", [True, False])
def test_resume_and_overwrite_together_go_on_with_the_same_run_and_replace_another(straight, tmp_path, finished):
    both = {"resume": True, "overwrite": True}
    run(tmp_path, replace(SMALL, seed=9), stop_after=None if finished else 4)
    run(tmp_path, stop_after=4, **both)
    again = run(tmp_path, **both)
    assert any("resumes after 1 epochs" in event.note for event in again)
    assert content(tmp_path / "run") == content(straight)
    assert run(tmp_path, **both) == []


def test_resume_with_nothing_there_starts(straight, tmp_path):
    run(tmp_path, resume=True)
    assert content(tmp_path / "run") == content(straight)


def test_an_ensemble_is_its_members_and_resumes_among_them(tmp_path):
    config = replace(SMALL, epochs=2, ensemble=2)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run(tmp_path / "a", config)
    run(tmp_path / "b", config, stop_after=9)
    run(tmp_path / "b", config, resume=True)
    one, other = content(tmp_path / "a" / "run"), content(tmp_path / "b" / "run")
    assert one == other
    assert sorted(one) == sorted([*(f"member-{k}/{f}" for k in (0, 1) for f in FILES), *FILES[2:], *OF_THE_WHOLE])
    model = checkpoint.load_model(tmp_path / "a" / "run")
    assert len(model.members) == 2
    (tmp_path / "c").mkdir()
    run(tmp_path / "c", replace(SMALL, epochs=2, seed=SMALL.seed + 1))
    assert one["member-1/best.safetensors"] == (tmp_path / "c" / "run" / "best.safetensors").read_bytes()
    assert {json.loads(line)["member"] for line in one["metrics.jsonl"].splitlines()} == {0, 1}


def test_early_stopping_keeps_the_best_epoch(tmp_path, monkeypatch):
    aucs = iter([0.7, 0.9, 0.8, 0.85])
    real = fitting.epoch_metrics
    monkeypatch.setattr(fitting, "epoch_metrics", lambda *a: {**real(*a), "val_auc": next(aucs), "train_auc": 0.7})
    run(tmp_path, replace(SMALL, epochs=30, patience=2))
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (told["epochs"], told["best_epoch"], told["stopped"]) == (4, 2, "no gain for 2 epochs")
    _, facts = checkpoint.load_tensors(tmp_path / "run" / "best.safetensors")
    assert facts["epoch"] == 2


def test_a_red_flag_stops_with_its_reason_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    real = fitting.epoch_metrics
    monkeypatch.setattr(fitting, "epoch_metrics", lambda *a: {**real(*a), "val_auc": 0.51})
    for resume in (False, True):
        with pytest.raises(RedFlag, match=r"val AUC is 0\.510 after epoch 1 of 2") as flag:
            run(tmp_path, resume=resume)
        assert flag.value.fix.endswith("; the best checkpoint so far is in .run.part/whole/")
        assert not (tmp_path / "run").exists()
        assert len(checkpoint.load_model(tmp_path / PART).members) == 1


def test_a_nan_loss_names_the_batch_and_the_galaxies_and_keeps_the_last_good_checkpoint(tmp_path):
    table, pixels = toy_of()
    chosen = int(np.flatnonzero(np.array(table["split"].to_pylist()) == "train")[3])
    pixels.images[chosen, 12, 12] = 3e38
    table = table.drop("cutout_sha256")
    with pytest.raises(RedFlag, match=f"epoch 1, batch .*0001p000_{chosen}[ ,]"):
        run(tmp_path, replace(SMALL, normalise="asinh", noise=0.0), toy=(table, pixels))
    assert not (tmp_path / "run").exists()


def test_a_nan_that_comes_out_of_the_store_later_is_named(tmp_path):
    table, pixels = toy_of()
    events = fit(table, pixels, SMALL, tmp_path / "run", resources=Resources(feed="stream"))
    next(events)
    row = int(np.flatnonzero(np.array(table["split"].to_pylist()) == "train")[3])
    pixels.images = pixels.images.copy()
    pixels.images[row, 12, 12, 1] = np.nan
    with pytest.raises(RedFlag, match=f"NaN pixels read from the store for 0001p000_{row}\n"):
        list(events)


def test_an_infinite_pixel_that_comes_later_is_named_though_the_normalisation_would_clip_it(tmp_path):
    table, pixels = toy_of()
    config = replace(SMALL, normalise="annulus", crop=20, shift=0, blur=0.0, noise=0.0)
    events = fit(table, pixels, config, tmp_path / "run", resources=Resources(feed="stream"))
    next(events)
    row = int(np.flatnonzero(np.array(table["split"].to_pylist()) == "train")[3])
    pixels.images = pixels.images.copy()
    pixels.images[row, 12, 12, 1] = np.inf
    with pytest.raises(RedFlag, match=f"read from the store for 0001p000_{row}\n"):
        list(events)


def test_weights_that_are_spoiled_do_not_reach_a_checkpoint(tmp_path, monkeypatch):
    run(tmp_path, stop_after=4)
    good = (tmp_path / PART / "last.safetensors").read_bytes()
    monkeypatch.setattr(learner.Schedule, "at", lambda self, step: float("inf"))
    with pytest.raises(RedFlag, match="epoch 2"):
        run(tmp_path, resume=True, resources=Resources(checkpoint_every=1))
    assert (tmp_path / PART / "last.safetensors").read_bytes() == good


def test_rows_that_cannot_be_used_are_left_out_counted_and_said(tmp_path):
    table, pixels = toy_of()
    train_rows = np.flatnonzero(np.array(table["split"].to_pylist()) == "train")
    table = changed(table.drop("cutout_sha256"), "cutout_ok", int(train_rows[0]), False)
    pixels.images[train_rows[1], 12, 12, 0] = np.nan
    events = run(tmp_path, toy=(table, pixels))
    told = json.loads((tmp_path / "run" / "run.json").read_text())["rows"]
    assert told["left_out"] == {"NaN in the crop": 1, "the cutout failed": 1}
    assert sum(told["train"].values()) == len(train_rows) - 2
    assert "1 left out (NaN in the crop); 1 left out (the cutout failed)" in events[0].note


def test_out_of_memory_goes_on_in_pieces_and_says_so(tmp_path, monkeypatch):
    calls = iter([True])
    real = learner.Learner._accumulate

    def scarce(self, *given):
        if next(calls, False):
            raise torch.OutOfMemoryError
        return real(self, *given)

    monkeypatch.setattr(learner.Learner, "_accumulate", scarce)
    events = run(tmp_path, replace(SMALL, epochs=1))
    assert [e.note for e in events if "micro-batches of 8" in e.note]
    _, state = checkpoint.load_tensors(tmp_path / "run" / "last.safetensors")
    assert state["micro_batch"] == 8


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room(straight, tmp_path, monkeypatch):
    run(tmp_path, stop_after=4)
    before = content(tmp_path / PART)
    with monkeypatch.context() as full:
        full.setattr(
            Path,
            "write_bytes",
            lambda self, data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
        )
        with pytest.raises(InputError, match="No space left") as error:
            run(tmp_path, resume=True)
    assert "--resume" in error.value.fix
    assert content(tmp_path / PART) == before
    run(tmp_path, resume=True)
    assert content(tmp_path / "run") == content(straight)


def test_a_damaged_checkpoint_is_not_resumed(tmp_path):
    run(tmp_path, stop_after=4)
    path = tmp_path / PART / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"last\.safetensors: invalid safetensors file"):
        run(tmp_path, resume=True)


def test_it_starts_from_given_weights_which_are_part_of_what_it_is(straight, tmp_path):
    given = straight / "best.safetensors"
    run(tmp_path, replace(SMALL, lr=1e-12, lr_end=1e-12, epochs=1), resources=Resources(init=given))
    tensors, _ = checkpoint.load_tensors(tmp_path / "run" / "best.safetensors")
    wanted, _ = checkpoint.load_tensors(given)
    learned = [name for name in tensors if "running" not in name and "num_batches" not in name]
    assert all(torch.allclose(tensors[name], wanted[name], rtol=0, atol=1e-10) for name in learned)
    source = checkpoint.load_model(tmp_path / "run").chain[-1].input("init")
    assert source is not None
    assert source.digest == digests.of_file(given)


def test_with_averaged_weights_it_keeps_the_average_and_goes_on_to_the_same_bytes(straight, tmp_path):
    config = replace(SMALL, ema=0.9)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    run(tmp_path / "a", config)
    run(tmp_path / "b", config, stop_after=3, resources=Resources(checkpoint_every=1))
    run(tmp_path / "b", config, resume=True)
    assert content(tmp_path / "a" / "run") == content(tmp_path / "b" / "run")
    best, _ = checkpoint.load_tensors(tmp_path / "a" / "run" / "best.safetensors")
    last, state = checkpoint.load_tensors(tmp_path / "a" / "run" / "last.safetensors")
    told = json.loads((tmp_path / "a" / "run" / "run.json").read_text())
    if told["best_epoch"] == 2:
        assert all(torch.equal(tensor, last[f"average.{name}"]) for name, tensor in best.items())
    assert state["averaged"] == 4
    assert not torch.equal(last["average.fc.weight"], last["network.fc.weight"])
    plain, _ = checkpoint.load_tensors(straight / "last.safetensors")
    assert all(torch.equal(last[name], tensor) for name, tensor in plain.items()), "averaging changed the training"


def test_without_a_length_a_small_set_is_seen_often_and_the_run_goes_on_to_the_same_bytes(tmp_path):
    """32 rows in batches of 16, 90 steps in 30 epochs of 3: the rows repeat within an epoch."""
    config = replace(SMALL, epochs=None, least_steps=90, patience=100)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    events = run(tmp_path / "a", config)
    run(tmp_path / "b", config, stop_after=12)
    run(tmp_path / "b", config, resume=True)
    assert content(tmp_path / "a" / "run") == content(tmp_path / "b" / "run")
    told = json.loads((tmp_path / "a" / "run" / "run.json").read_text())
    assert told["length"] == {"epochs": 30, "steps_per_epoch": 3, "steps": 90, "cutouts_seen": 1440}
    assert told["epochs"] == 30
    assert "90 steps of 16 cutouts in 30 epochs: 1,440 cutouts seen, each row about 45 times" in events[0].note
    left = [event.steps_left for event in events if event.batch and event.metrics is None]
    assert left == list(range(89, -1, -1))


def test_steps_left_are_those_of_the_members_to_come_too(tmp_path):
    events = run(tmp_path, replace(SMALL, ensemble=2))
    assert [event.steps_left for event in events if event.batch and event.metrics is None] == list(range(7, -1, -1))


def test_smoothed_targets_are_nearer_to_one_half_in_training_alone():
    rows = select_rows(toy_of()[0]).train
    soft = feeding.smoothed(rows, 0.1)
    assert set(soft.target.tolist()) == {np.float32(0.05), np.float32(0.95)}
    assert feeding.smoothed(rows, 0.0) is rows
    config = replace(SMALL, label_smoothing=0.1)
    table, pixels = toy_of()
    made = feeding.read_cutouts(
        pixels, select_rows(table), np.zeros(0, np.int64), config, fitting.LS_DR10, torch.device("cpu"), Resources()
    )
    assert set(made.training.rows.target.tolist()) == {np.float32(0.05), np.float32(0.95)}
    assert set(made.validation.rows.target.tolist()) == {0.0, 1.0}


def test_what_initial_weights_were_trained_on_and_what_was_adapted_is_said_and_recorded(straight, tmp_path):
    given = tmp_path / "w.safetensors"
    tensors, _ = checkpoint.load_tensors(straight / "best.safetensors")
    checkpoint.save_tensors(given, {**tensors, "fc.weight": torch.zeros(1000, 72), "fc.bias": torch.zeros(1000)}, {})
    config = replace(SMALL, epochs=1, init_trained_on="ImageNet-1k", without_ref=("paper one",))
    events = run(tmp_path, config, resources=Resources(init=given))
    assert (
        "initial weights from w.safetensors, trained on: ImageNet-1k\nlast layer (fc.weight, fc.bias)" in events[0].note
    )
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["init"]["trained_on"] == {"said": "ImageNet-1k"}
    assert told["init"]["digest"] == digests.of_file(given)
    assert told["init"]["adapted"][0].startswith("last layer (fc.weight, fc.bias)")


def test_a_run_of_all_catalogues_is_no_start_for_one_that_leaves_one_out(straight, tmp_path):
    with pytest.raises(InputError, match="a run that did not leave it out"):
        run(
            tmp_path,
            replace(SMALL, without_ref=("paper one",)),
            resources=Resources(init=straight / "best.safetensors"),
        )
    assert os.listdir(tmp_path) == []


def test_words_about_no_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="init_trained_on is said of no weights"):
        run(tmp_path, replace(SMALL, init_trained_on="ImageNet-1k"))


def test_balanced_weights_make_the_classes_weigh_the_same():
    rows = feeding.weighted(select_rows(toy_of()[0]).train, "balanced")
    assert rows.weight[rows.label == 1].sum() == pytest.approx(rows.weight[rows.label == 0].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(SMALL, crop=25), "cutouts of 24 px are smaller than the crop of 25 px"),
        (replace(SMALL, without_ref=("nobody",)), "nobody"),
    ],
)
def test_what_cannot_be_trained_on_leaves_nothing_behind(tmp_path, config, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, config)
    assert os.listdir(tmp_path) == []


def test_pixels_that_are_not_the_manifests_leave_nothing_behind(tmp_path):
    table, pixels = toy_of()
    store = make_store(tmp_path / "s.zarr", pixels.images)
    table = table.set_column(0, "galaxy_id", store.index["galaxy_id"])
    for split in ("train", "val"):
        row = table["split"].to_pylist().index(split)
        damage.flip_bit(tmp_path / "s.zarr", row)
        cutouts = Cutouts(table, tmp_path)
        with pytest.raises(InputError, match=f"s.zarr: the pixels of {table['galaxy_id'][row]} "):
            run(tmp_path, toy=(table, cutouts))
        assert os.listdir(tmp_path) == ["s.zarr"]
        damage.flip_bit(tmp_path / "s.zarr", row)
