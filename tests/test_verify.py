"""Verifying: one flipped bit anywhere is found and its file named, and so is a folder forged with fitting sums."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lensctl.doors import frozen, provenance
from lensctl.learning import checkpoint, golden
from lensctl.verify import verify
from lensctl.words.errors import InputError
from tests import frozen_toys
from tests.frozen_toys import content, flip, random_flips

FLIPS_EACH = 6
SOAK_FLIPS_EACH = 400


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    with frozen_toys.tiny_network():
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return frozen_toys.bundle(tmp_path_factory)


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the frozen model that may be spoiled."""
    shutil.copytree(bundle / "frozen", tmp_path / "frozen")
    return tmp_path / "frozen"


def failed(folder):
    """Names of the checks that fail, with their offenders."""
    return {check.check: set(check.offenders) for check in verify(folder) if not check.passed}


def test_an_untouched_folder_is_proved(folder):
    checks = list(verify(folder))
    assert all(check.passed for check in checks)
    assert [check.check for check in checks] == [
        "neither links nor empty folders",
        "SHA256SUMS can be read",
        "no file is missing",
        "no file is extra",
        "no file was touched",
        "provenance from the pool to here",
        "weights, manifest, evaluation and steps name each other",
        "required gates passed, or were let pass",
        "thresholds are those of the stored scores",
        "golden logits of model.safetensors",
        "golden logits of model.pt2",
    ]
    assert len({check.input_digest for check in checks}) == 1
    assert all(json.loads(check.as_json())["gate"] == "verify" for check in checks)


def test_permissions_and_the_folders_name_do_not_matter(folder):
    for file in folder.iterdir():
        file.chmod(0o600)
    folder.rename(folder.parent / "elsewhere")
    assert not failed(folder.parent / "elsewhere")


def found_after_flip(folder, name, place, bit):
    """Offenders after one flipped bit; the file is put back."""
    path = folder / name
    before = path.read_bytes()
    flip(path, place, bit)
    offenders = set().union(*failed(folder).values(), set())
    path.write_bytes(before)
    return offenders


def judge_flips(folder, each):
    for seed, (name, data) in enumerate(content(folder).items()):
        for place, bit in random_flips(len(data), each, seed):
            offenders = found_after_flip(folder, name, place, bit)
            assert name in offenders, (name, place, bit)
            assert offenders <= {name, frozen.SUMS, frozen.FROZEN}, (name, place, bit, offenders)


def test_one_flipped_bit_anywhere_is_found_and_its_file_named(folder):
    judge_flips(folder, FLIPS_EACH)


def test_a_flip_in_an_ensembles_member_is_found_too(tmp_path_factory, tmp_path):
    shutil.copytree(frozen_toys.bundle(tmp_path_factory, members=2) / "frozen", tmp_path / "frozen")
    assert not failed(tmp_path / "frozen")
    judge_flips(tmp_path / "frozen", 1)


@pytest.mark.soak
def test_many_flipped_bits_are_found(folder):
    judge_flips(folder, SOAK_FLIPS_EACH)


def test_every_flip_in_the_sums_is_found(folder):
    size = (folder / frozen.SUMS).stat().st_size
    for place in range(0, size, 3):
        assert frozen.SUMS in found_after_flip(folder, frozen.SUMS, place, place % 8), place


def test_a_line_end_that_became_another_line_end_is_found(folder):
    for place, byte in enumerate((folder / frozen.SUMS).read_bytes()):
        if byte == ord("\n"):
            assert found_after_flip(folder, frozen.SUMS, place, 0) == {frozen.SUMS}  # a vertical tab


def test_a_name_that_was_touched_in_the_sums_names_the_sums_alone(folder):
    text = (folder / frozen.SUMS).read_text()
    for name in ("frozen.json", "model.pt2"):
        place = text.index(name) + 2
        assert found_after_flip(folder, frozen.SUMS, place, 4) == {frozen.SUMS}, name


def names(folder):
    return sorted(content(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt2", "golden.npz", "README.md", "gates.jsonl"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert failed(folder)["no file is missing"] == {name}


@pytest.mark.parametrize("name", [frozen.SUMS, frozen.FROZEN])
def test_a_missing_list_of_files_is_named(folder, name):
    (folder / name).unlink()
    assert name in set().union(*failed(folder).values())


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "member-0/model.pt2", "model.safetensors.bak"])
def test_an_extra_file_is_named(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("more")
    assert failed(folder)["no file is extra"] == {name}


def test_an_empty_folder_is_extra(folder):
    (folder / "plots").mkdir()
    assert failed(folder)["neither links nor empty folders"] == {"plots/"}


def test_a_link_is_refused_even_to_the_same_content(folder):
    outside = folder.parent / "model.pt2"
    shutil.move(folder / "model.pt2", outside)
    (folder / "model.pt2").symlink_to(outside)
    assert failed(folder)["neither links nor empty folders"] == {"model.pt2"}


def test_a_cut_file_is_named(folder):
    path = folder / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    assert failed(folder)["no file was touched"] == {"model.safetensors"}


def reseal(folder, name, data):
    """Change a file and every list that holds its digest, as someone would who forges."""
    path = folder / name
    path.chmod(0o644)
    path.write_bytes(data)
    facts_path = folder / frozen.FROZEN
    if name != frozen.FROZEN:
        facts = json.loads(facts_path.read_text())
        facts["files"][name] = frozen.sha256(path)
        facts_path.chmod(0o644)
        facts_path.write_text(json.dumps(facts))
    (folder / frozen.SUMS).chmod(0o644)
    (folder / frozen.SUMS).write_text(frozen.sums_of(folder, [n for n in names(folder) if n != frozen.SUMS]))


def test_weights_of_another_model_fail_although_the_sums_fit(folder):
    tensors, facts = checkpoint.load_tensors(folder / "model.safetensors")
    tensors["fc.bias"] = tensors["fc.bias"] + 0.5
    other = folder.parent / "other.safetensors"
    checkpoint.save_tensors(other, tensors, facts)
    reseal(folder, "model.safetensors", other.read_bytes())
    found = failed(folder)
    assert found["weights, manifest, evaluation and steps name each other"] == {"model.safetensors"}
    assert "content is that of a frozen model" in found  # load_model refuses the digest before any logit


def test_a_program_of_another_model_fails_on_its_golden_logits(folder, tmp_path_factory):
    other = frozen_toys.bundle(tmp_path_factory, members=2) / "frozen" / "member-1" / "model.pt2"
    reseal(folder, "model.pt2", other.read_bytes())
    assert set(failed(folder)) == {"golden logits of model.pt2"}


def test_golden_logits_that_were_changed_fail(folder):
    kept = golden.read(folder / "golden.npz")
    logits = kept.logits.copy()
    logits[3] += 0.01
    golden.write(folder.parent / "golden.npz", golden.Golden(kept.galaxy_id, kept.label, kept.cutouts, logits))
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    found = failed(folder)
    assert found["golden logits of model.safetensors"] == {str(kept.galaxy_id[3])}
    assert found["golden logits of model.pt2"] == {str(kept.galaxy_id[3])}


def test_golden_logits_may_differ_by_rounding(folder):
    kept = golden.read(folder / "golden.npz")
    near = golden.Golden(kept.galaxy_id, kept.label, kept.cutouts, kept.logits + 1e-5)
    golden.write(folder.parent / "golden.npz", near)
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    assert not failed(folder)


def test_golden_logits_that_are_no_numbers_fail(folder):
    kept = golden.read(folder / "golden.npz")
    spoiled = golden.Golden(kept.galaxy_id, kept.label, kept.cutouts, np.full_like(kept.logits, np.nan))
    golden.write(folder.parent / "golden.npz", spoiled)
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    assert "golden logits of model.safetensors" in failed(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts["points"][1].update(logit=0.123),
        lambda facts: facts["points"][0].update(found=3),
        lambda facts: facts["points"].pop(),
    ],
)
def test_a_changed_threshold_does_not_come_out_of_the_stored_scores(folder, change):
    facts = json.loads((folder / "thresholds.json").read_text())
    change(facts)
    reseal(folder, "thresholds.json", json.dumps(facts).encode())
    assert failed(folder).keys() == {"thresholds are those of the stored scores"}


@pytest.mark.parametrize("name", ["thresholds.json", "metrics.json", "provenance.json", "gates.jsonl", "golden.npz"])
def test_rubbish_under_fitting_sums_is_a_no_not_a_crash(folder, name):
    reseal(folder, name, b"{}\n")
    assert failed(folder)


def test_a_changed_metrics_file_is_not_the_one_that_was_frozen(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["headline"]["tier_a_recall"]["value"] = 0.99
    reseal(folder, "metrics.json", json.dumps(metrics).encode())
    assert "metrics.json" in failed(folder)["weights, manifest, evaluation and steps name each other"]


def test_a_step_taken_out_of_the_provenance_is_missed(folder):
    chain = provenance.from_json((folder / "provenance.json").read_bytes(), "toy")
    shorter = tuple(step for step in chain if step.command != "sample")
    reseal(folder, "provenance.json", provenance.to_json(shorter).encode())
    assert failed(folder)["provenance from the pool to here"] == {"provenance.json"}


def test_a_gate_line_taken_out_is_missed(folder):
    lines = (folder / "gates.jsonl").read_text().splitlines(keepends=True)
    reseal(folder, "gates.jsonl", "".join(lines[1:]).encode())
    assert failed(folder).keys() == {"required gates passed, or were let pass"}


def test_what_is_no_folder_cannot_be_verified(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(InputError, match="no such folder"):
            list(verify(path))


def test_an_empty_folder_is_not_a_frozen_model(tmp_path):
    assert failed(tmp_path) == {"SHA256SUMS can be read": {frozen.SUMS}}
