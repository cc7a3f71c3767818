"""Scores are of the pixels alone, whatever the batch; rows without a good cutout get none and are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.sql import query
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.data.row_selection import NAN, NOT_OK, Fold, refold
from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scoring import score_table
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED
from tests.toys import rings
from tests.toys.rings import changed

BANDS = Normalisation("bands", mean=(0.1, 0.1, 0.1), std=(0.2, 0.2, 0.2))
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Several threads wait for each other where other tests run too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model(members: int = 1, normalisation: Normalisation = BANDS, arch: str = "shielded", **card) -> ScoringModel:
    """Networks with random weights, warmed up so that batch norm has seen some pixels."""
    crop = max(16, architectures.LEAST_CROP.get(arch, 0))
    networks = []
    for k in range(members):
        torch.manual_seed(k)
        network = architectures.build(arch)
        network.train()(torch.randn(16, 3, crop, crop))
        networks.append(network.eval())
    facts = ModelCard(arch, crop, normalisation, members=members, **card)
    return ScoringModel(tuple(networks), facts, "sha256:0", (Step("train", {}),), "run")


def scored(made: ScoringModel, table, pixels, **how):
    return score_table(made, table, lambda rows: pixels.read(rows, crop=made.card.crop), **how)


def by_hand(made: ScoringModel, pixels: np.ndarray) -> np.ndarray:
    """(N, members) logits, one cutout at a time."""
    with torch.inference_mode():
        x = [made.card.normalisation(torch.from_numpy(p[None]).permute(0, 3, 1, 2)) for p in pixels]
        return np.array([[float(m(one)) for m in made.members] for one in x])


@pytest.mark.parametrize("members", [1, 3])
def test_every_column_is_carried_and_the_logit_is_the_mean_of_the_members(members):
    table, pixels = rings.manifest(20)
    made = model(members)
    rows = scored(made, table, pixels).rows
    assert rows.select(table.column_names).equals(table)
    assert rows.column_names[len(table.column_names) :] == [
        "logit",
        "p",
        *(f"logit_{k}" for k in range(members)),
        "role",
    ]
    wanted = by_hand(made, pixels.read(np.arange(20), crop=16))
    for k in range(members):
        np.testing.assert_allclose(rows[f"logit_{k}"], wanted[:, k], atol=1e-4)
    np.testing.assert_allclose(rows["logit"], wanted.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(rows["p"], 1 / (1 + np.exp(-rows["logit"].to_numpy())), rtol=1e-12)


@given(batch=st.integers(1, 64), seed=st.integers(0, 99))
@settings(max_examples=5, deadline=None)
@pytest.mark.parametrize("kind", [BANDS, Normalisation("asinh"), Normalisation("annulus", inner_px=5, outer_px=8)])
def test_a_logit_depends_neither_on_batch_size_nor_on_order(kind, batch, seed):
    table, pixels = rings.manifest(48)
    made = model(normalisation=kind)
    order = np.random.default_rng(seed).permutation(48)
    one = scored(made, table, pixels, batch_size=256).rows["logit"].to_numpy()
    shuffled = rings.InMemory(pixels.images[order])
    other = scored(made, table.take(order), shuffled, batch_size=batch).rows["logit"].to_numpy()
    np.testing.assert_allclose(one[order], other, atol=1e-4)
    assert scored(made, table, pixels, batch_size=batch).rows["logit"].to_numpy().tolist() == one.tolist()  # to the bit


def test_blocks_make_no_difference(monkeypatch):
    table, pixels = rings.manifest(48)
    made = model()
    for row in (2, 20, 30):
        pixels.images[row] = np.nan
    one = scored(made, table, pixels).rows["logit"].to_numpy(zero_copy_only=False)
    monkeypatch.setattr("lensctl.learning.networks.scoring.BLOCK_ROWS", 7)
    done: list[int] = []
    found = scored(made, table, pixels, batch_size=5, advance=done.append)
    assert len(done) == 8  # those without a cutout, and 48 rows by 7
    np.testing.assert_allclose(one, found.rows["logit"].to_numpy(zero_copy_only=False), atol=1e-4)
    assert found.left_out == {NAN: 3}
    assert sum(done) == 48


def test_tta_is_the_mean_over_the_eight_turns_and_mirrors():
    table, pixels = rings.manifest(6)
    made = model(2)
    cut = pixels.read(np.arange(6), crop=16)
    views = [np.rot90(v, k, axes=(1, 2)).copy() for v in (cut, cut[:, ::-1]) for k in range(4)]
    wanted = np.mean([by_hand(made, view) for view in views], axis=0)
    rows = scored(made, table, pixels, tta=True).rows
    np.testing.assert_allclose(np.stack([rows["logit_0"], rows["logit_1"]], axis=1), wanted, atol=1e-4)
    turned = rings.InMemory(np.rot90(pixels.images, 1, axes=(1, 2)))
    again = scored(made, table, turned, tta=True).rows
    np.testing.assert_allclose(rows["logit"], again["logit"], atol=1e-4)


def test_rows_without_a_good_cutout_get_no_score_and_are_counted():
    table, pixels = rings.manifest(20)
    table = changed(changed(table, "cutout_ok", 3, False), "cutout_ok", 4, None)
    pixels.images[7, 12, 12, 0] = np.nan
    pixels.images[8, 0, 0, 0] = np.nan  # beyond the crop
    found = scored(model(), table, pixels)
    unscored = [i for i, v in enumerate(found.rows["p"].to_pylist()) if v is None]
    assert unscored == [3, 4, 7]
    for name in ("logit", "logit_0"):
        assert [i for i, v in enumerate(found.rows[name].to_pylist()) if v is None] == unscored
    assert found.left_out == {NOT_OK: 2, NAN: 1}


def test_a_model_trained_on_a_fold_says_which_rows_it_has_not_seen():
    table, pixels = rings.manifest(40)
    rows = scored(model(fold="2/5"), table, pixels).rows
    assert rows["split"].equals(refold(table, Fold(2, 5), SEED)["split"])
    assert rows["split"] != table["split"]


def test_a_table_without_splits_can_be_scored():
    table, pixels = rings.manifest(6)
    few = table.select(["galaxy_id", "cutout_ok"])
    assert scored(model(fold="2/5"), few, pixels).rows.num_rows == 6


@pytest.mark.parametrize("arch", architectures.ARCHITECTURES)
def test_every_architecture_scores(arch):
    made = model(arch=arch)
    table, pixels = rings.manifest(4, size=made.card.crop + 8)
    assert scored(made, table, pixels).rows["logit"].null_count == 0


def test_scores_are_not_scored_again():
    table, pixels = rings.manifest(4)
    with pytest.raises(InputError, match="already has a column 'logit'"):
        scored(model(), scored(model(), table, pixels).rows, pixels)


def test_cutouts_smaller_than_the_crop_are_refused():
    table, _ = rings.manifest(4)
    small = rings.InMemory(rings.images(np.zeros(4), size=12))
    with pytest.raises(InputError, match="cutouts of 12 px are smaller than the model's crop of 16 px"):
        score_table(model(), table, small.read)


@pytest.mark.parametrize("bands", [1, 4])
def test_cutouts_of_other_bands_are_refused(bands):
    table, pixels = rings.manifest(4)
    other = rings.InMemory(np.repeat(pixels.images[..., :1], bands, axis=-1))
    with pytest.raises(InputError, match=f"cutouts of {bands} bands, run was trained on g, r, z"):
        score_table(model(), table, other.read)


def test_a_model_that_gives_nan_is_refused():
    table, pixels = rings.manifest(4)
    made = model()
    with torch.no_grad():
        made.members[0].fc.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="returns NaN"):
        scored(made, table, pixels)


def test_a_table_without_quality_is_refused():
    table, pixels = rings.manifest(4)
    with pytest.raises(InputError, match="'cutout_ok' is missing"):
        scored(model(), table.drop("cutout_ok"), pixels)


def test_the_module_to_freeze_is_what_scores():
    _, pixels = rings.manifest(4)
    made = model()
    (module,) = predict.modules(made, CPU)
    whole = torch.from_numpy(pixels.images)  # 24 px: it crops by itself
    with torch.inference_mode():
        np.testing.assert_allclose(module(whole), by_hand(made, pixels.read(np.arange(4), crop=16))[:, 0], atol=1e-4)


def test_no_cuda_here_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert predict.pick_device("auto").type == "cpu"
    with pytest.raises(InputError, match="no usable CUDA device"):
        predict.pick_device("cuda")
    with pytest.raises(InputError, match="no device 'gpu'"):
        predict.pick_device("gpu")


def test_the_mean_of_logits_is_what_is_documented_not_of_p():
    table, pixels = rings.manifest(4)
    made = model(2)
    with torch.no_grad():
        made.members[0].fc.bias.fill_(30.0)
    rows = scored(replace(made), table, pixels).rows
    np.testing.assert_allclose(rows["logit"], (rows["logit_0"].to_numpy() + rows["logit_1"].to_numpy()) / 2)


class LittleMemory(torch.nn.Module):
    """A member on a device that has room for so many cutouts."""

    def __init__(self, network: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError
        return self.network(x)


def test_out_of_memory_scores_fewer_at_a_time_to_the_same_logits():
    table, pixels = rings.manifest(20)
    made = model()
    wanted = scored(made, table, pixels).rows["logit"].to_numpy()
    little = replace(made, members=(LittleMemory(made.members[0], 3),))
    np.testing.assert_allclose(scored(little, table, pixels).rows["logit"].to_numpy(), wanted, atol=1e-4)
    with pytest.raises(InputError, match="not enough device memory for a single cutout"):
        scored(replace(made, members=(LittleMemory(made.members[0], 0),)), table, pixels)


def test_scores_say_what_the_model_took_a_row_for():
    table, pixels = rings.manifest(48)
    plain = scored(model(), table, pixels).rows
    assert plain["role"].to_pylist() == table["split"].to_pylist()
    card = replace(model().card, calibrate_share=0.5)
    halved = scored(replace(model(), card=card), table, pixels).rows
    kept = split.calibrates(table["healpix_128"].to_numpy(), 0.5)
    wanted = [
        "calibrate" if s == "val" and k else s for s, k in zip(table["split"].to_pylist(), kept.tolist(), strict=True)
    ]
    assert halved["role"].to_pylist() == wanted
    assert {"val", "calibrate"} <= set(wanted)


@pytest.mark.parametrize("arch", ["shielded", "resnet18"])
@pytest.mark.parametrize("tta", [False, True])
def test_the_embedding_is_what_enters_the_last_layer_of_each_member(arch, tta):
    """The last layer's own weights give each logit back; logits are those without it, to the bit."""
    table, pixels = rings.manifest(12 if tta else 70)
    pixels.images[3] = np.nan
    made = model(2, arch=arch)
    plain = scored(made, table, pixels, tta=tta).rows
    rows = scored(made, table, pixels, tta=tta, embedding=True).rows
    assert rows.drop_columns(["embedding"]).equals(plain)
    kind = rows["embedding"].type
    heads = [predict.last_layer(member) for member in made.members]
    assert kind.list_size == sum(head.in_features for head in heads)
    assert rows["embedding"].null_count == 1
    assert rows["embedding"][3].as_py() is None
    known = rows.filter(rows["embedding"].is_valid())
    seen = np.stack(known["embedding"].to_numpy())
    assert seen.dtype == np.float32
    start = 0
    for k, head in enumerate(heads):
        part = seen[:, start : start + head.in_features]
        start += head.in_features
        logit = part @ head.weight.detach().numpy()[0] + float(head.bias.detach())
        np.testing.assert_allclose(logit, known[f"logit_{k}"], atol=2e-4)


def test_a_table_with_an_embedding_is_not_given_another():
    table, pixels = rings.manifest(4)
    once = scored(model(), table, pixels, embedding=True).rows.select([*table.column_names, "embedding"])
    with pytest.raises(InputError, match="already has a column 'embedding'"):
        scored(model(), once, pixels, embedding=True)


def test_a_network_that_ends_otherwise_has_no_embedding():
    with pytest.raises(InputError, match="does not end with a linear layer"):
        predict.last_layer(torch.nn.Sequential(torch.nn.Linear(3, 2)))


def test_an_embedding_survives_parquet_and_duckdb_and_its_digest_tells_it_from_another(tmp_path):
    table, pixels = rings.manifest(9)
    pixels.images[3] = np.nan
    rows = scored(model(), table, pixels, embedding=True).rows
    write_table(rows, str(tmp_path / "s.parquet"))
    again = read_table(str(tmp_path / "s.parquet"))
    assert again["embedding"].type == rows["embedding"].type
    assert again["embedding"].to_pylist() == rows["embedding"].to_pylist()
    assert digests.of_table(again) == digests.of_table(rows)
    assert digests.of_table(again.slice(1).select(["embedding"])) != digests.of_table(rows.select(["embedding"]))
    found = query("SELECT count(embedding) AS n, max(len(embedding)) AS width FROM t", t=again)
    assert found.to_pylist() == [{"n": 8, "width": rows["embedding"].type.list_size}]
