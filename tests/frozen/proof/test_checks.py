"""Verifying: a folder forged with fitting sums is found, a signature says whose it is, nothing is a crash."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch

from lensctl.freeze.folder import fill
from lensctl.frozen import layout, signature, snapshot
from lensctl.frozen.proof.checks import prove, proven
from lensctl.io.provenance.steps import from_json, to_json
from lensctl.learning.networks import checkpoint, exported_program
from lensctl.learning.networks.golden import Golden, read_golden, write_golden
from lensctl.rules.errors import InputError
from lensctl.rules.object_names import LEDGER
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import failed, sign
from tests.toys.freezing import signed_bundle as signed_once
from tests.toys.frozen import content, flip

UNPROVED = {
    "calibrate_share",
    "computed_on",
    "environment",
    "input",
    "layers",
    "pixel_scale_arcsec",
    "source",
    "splits",
}
UNPROVED |= {"versions"}
"""What frozen.json says and nothing else in the folder: only a signature holds it."""


NOTHING_ALLOWED = {"allowed_failures"}
"""None, [] and {} say the same there."""


pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the frozen model that may be spoiled."""
    shutil.copytree(bundle / "frozen", tmp_path / "frozen")
    return tmp_path / "frozen"


@pytest.fixture(scope="module")
def signed_bundle(tmp_path_factory):
    """The same model, signed; beside it key.pem and key.pub."""
    return signed_once(tmp_path_factory)


@pytest.fixture
def signed(signed_bundle, tmp_path):
    """A copy of the signed model that may be spoiled."""
    shutil.copytree(signed_bundle / "frozen", tmp_path / "signed")
    return tmp_path / "signed"


@pytest.fixture
def key(signed_bundle):
    return signature.public_key(signed_bundle / "key.pub")


def test_an_untouched_folder_is_proved(folder):
    checks = list(prove(folder))
    assert all(check.passed for check in checks)
    assert [check.check for check in checks] == [
        "neither links nor empty folders",
        "SHA256SUMS can be read",
        "no file is missing",
        "no file is extra",
        "no file was touched",
        "it holds what a frozen model holds",
        "provenance from the pool to here",
        "weights, manifest, evaluation and steps name each other",
        "required gates passed, or were let pass",
        "thresholds are those of the stored scores",
        "golden logits of model.safetensors on cpu",
        "golden logits of model.pt2 on cpu",
    ]
    assert len({check.input_digest for check in checks}) == 1
    assert all(json.loads(check.as_json())["gate"] == "verify" for check in checks)


def test_permissions_and_the_folders_name_do_not_matter(folder):
    for file in folder.iterdir():
        file.chmod(0o600)
    folder.rename(folder.parent / "elsewhere")
    assert not failed(folder.parent / "elsewhere")


def names(folder):
    return sorted(content(folder))


def reseal(folder, name, data):
    """Change a file and every list that holds its digest, as someone would who forges."""
    path = folder / name
    path.chmod(0o644)
    path.write_bytes(data)
    facts_path = folder / layout.FROZEN
    if name != layout.FROZEN:
        facts = json.loads(facts_path.read_text())
        facts["files"][name] = layout.sha256(path)
        facts_path.chmod(0o644)
        facts_path.write_text(json.dumps(facts))
    (folder / layout.SUMS).chmod(0o644)
    (folder / layout.SUMS).write_text(layout.sums_of(folder, [n for n in names(folder) if n != layout.SUMS]))


@pytest.mark.parametrize("name", ["README.md", "gates.jsonl", "golden.npz"])
def test_a_file_that_was_taken_out_of_every_list_is_missed(folder, name):
    facts = json.loads((folder / layout.FROZEN).read_text())
    del facts["files"][name]
    (folder / name).unlink()
    reseal(folder, layout.FROZEN, json.dumps(facts).encode())
    assert failed(folder)["it holds what a frozen model holds"] == {name}


def test_a_file_that_was_put_into_every_list_is_extra(folder):
    (folder / "more.py").write_text("")
    reseal(folder, "more.py", b"import os")
    assert failed(folder) == {"it holds what a frozen model holds": {"more.py"}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config", lambda facts: facts["config"].update(lr=1.0)),
        ("model", lambda facts: facts["model"].update(dropout=0.5)),
        ("bands", lambda facts: facts["model"].update(bands=["z", "r", "g"])),
        ("format", lambda facts: facts.update(golden_tolerance=1e9)),
        ("format", lambda facts: facts.update(format=1)),
        ("format", lambda facts: facts.pop("format")),
        ("mock", lambda facts: facts.update(mock=True)),
        ("pool", lambda facts: facts.update(pool_digest="sha256:" + "9" * 64)),
        ("made_from", lambda facts: facts["made_from"].update(negatives="sha256:" + "9" * 64)),
        ("scores", lambda facts: facts.update(scores_digest="sha256:" + "9" * 64)),
        ("manifest", lambda facts: facts.update(manifest_digest="sha256:" + "9" * 64)),
    ],
)
def test_what_frozen_json_claims_must_be_what_the_steps_say(folder, name, change):
    facts = json.loads((folder / layout.FROZEN).read_text())
    change(facts)
    reseal(folder, layout.FROZEN, json.dumps(facts).encode())
    assert name in failed(folder)["weights, manifest, evaluation and steps name each other"]


def test_another_crop_or_normalisation_fails_on_the_golden_logits(folder):
    before = (folder / layout.FROZEN).read_bytes()
    for change in (
        lambda model: model.update(crop=12),
        lambda model: model["normalisation"].update(kind="bands", mean=[9.0, 9.0, 9.0], std=[0.1, 0.1, 0.1]),
    ):
        facts = json.loads(before)
        change(facts["model"])
        reseal(folder, layout.FROZEN, json.dumps(facts).encode())
        assert "golden logits of model.safetensors on cpu" in failed(folder)


def test_another_calibration_is_not_the_evaluations(folder):
    facts = json.loads((folder / "thresholds.json").read_text())
    facts["calibration"]["slope"] = 3.0
    reseal(folder, "thresholds.json", json.dumps(facts).encode())
    assert failed(folder) == {"thresholds are those of the stored scores": {"calibration"}}


def test_a_signed_model_verifies_with_the_key_and_says_so_without(signed, key):
    (told,) = [check for check in prove(signed) if check.check == "signature"]
    assert (told.passed, told.value) == (True, "not checked")
    assert told.note == "signed; check the signer with --key"
    checks = list(prove(signed, key=key))
    assert all(check.passed for check in checks)
    (told,) = [check for check in checks if check.check == "signature"]
    assert (told.value, told.limit, told.n) == ("holds", "by key.pub", len(content(signed)) - 2)


def test_an_unsigned_model_is_a_no_to_who_asks_for_a_signature(folder, key):
    checks = {check.check: check for check in prove(folder, key=key)}
    assert checks["signature"].passed is False
    assert checks["signature"].value == "not signed"
    assert "golden logits of model.pt2 on cpu" not in checks  # nothing is opened that nobody vouches for


def test_only_the_signature_finds_a_forgery_that_was_carried_through(signed, key):
    """Every list fits and nothing else tells of the model card: the key alone does."""
    reseal(signed, "README.md", b"# The best finder of all\n")
    assert not failed(signed)
    assert failed(signed, key=key) == {"signature": {"README.md", layout.FROZEN}}


def test_a_model_that_was_signed_after_it_was_frozen_verifies(folder, key, signed_bundle):
    sign(folder, signed_bundle / "key.pem")
    assert not failed(folder)
    assert not failed(folder, key=key)


def test_the_note_of_a_sync_does_not_stand_against_a_signature(signed, key):
    (signed / LEDGER).write_text("{}\n")
    assert not failed(signed, key=key)


def test_an_ensemble_is_signed_and_proved_member_by_member(tmp_path_factory, tmp_path, key, signed_bundle):
    made = frozen_toys.bundle(tmp_path_factory, members=2)
    (tmp_path / "both").mkdir()
    private = signature.private_key(signed_bundle / "key.pem")
    fill(made / "run", made / "evaluation", [made / "gates.jsonl"], tmp_path / "both", key=private)
    assert not failed(tmp_path / "both", key=key)
    places = [tmp_path / "both" / f"member-{k}" / "model.safetensors" for k in (0, 1)]
    data = [place.read_bytes() for place in places]
    for place, other in zip(places, data[::-1], strict=True):
        place.chmod(0o644)
        place.write_bytes(other)
    assert failed(tmp_path / "both")["no file was touched"] == {f"member-{k}/model.safetensors" for k in (0, 1)}


def test_a_tool_takes_a_frozen_model_only_when_it_verifies(signed, signed_bundle, bundle):
    model = proven(str(signed), key=signed_bundle / "key.pub")
    assert model.digest == proven(signed).digest == json.loads((signed / layout.FROZEN).read_text())["model_digest"]
    with pytest.raises(InputError, match="run: not a frozen model"):
        proven(bundle / "run")
    with pytest.raises(InputError, match=r"verification failed at 'signature' \(not signed\)"):
        proven(bundle / "frozen", key=str(signed_bundle / "key.pub"))
    flip(signed / "golden.npz", 300, 1)
    with pytest.raises(InputError, match=r"verification failed at 'no file was touched' \(golden\.npz\)") as error:
        proven(signed)
    assert error.value.fix == f"see `lensctl verify {signed}`"


def with_code(program: bytes, code: str) -> bytes:
    """A program in whose graph a size is the value of a Python expression."""
    old, new = zipfile.ZipFile(io.BytesIO(program)), io.BytesIO()
    with zipfile.ZipFile(new, "w") as written:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("models/model.json"):
                data, found = re.subn(
                    rb'"expr_str": "Symbol\([^"]*"',
                    lambda match: b'"expr_str": ' + json.dumps(code).encode(),
                    data,
                    count=1,
                )
                assert found
            written.writestr(item, data)
    return new.getvalue()


@pytest.fixture
def armed(folder, tmp_path):
    """A frozen model whose model.pt2 makes a file once it is opened, in a folder whose lists fit; and that file."""
    ran = tmp_path / "ran"
    program = with_code((folder / "model.pt2").read_bytes(), f"__import__('pathlib').Path({str(ran)!r}).touch()")
    reseal(folder, "model.pt2", program)
    return folder, ran


def test_the_code_in_a_program_would_run(armed):
    """What the next tests guard against: torch evaluates it."""
    folder, ran = armed
    with contextlib.suppress(InputError):
        exported_program.load((folder / "model.pt2").read_bytes(), "model.pt2")
    assert ran.exists()


def test_a_program_is_not_opened_without_a_key(armed):
    folder, ran = armed
    checks = {check.check: check for check in prove(folder)}
    told = checks["golden logits of model.pt2 on cpu"]
    assert (told.passed, told.value, told.n) == (True, "not opened", 0)
    assert proven(folder).members
    assert not ran.exists()


def test_a_program_is_not_opened_unless_the_signature_holds(armed, key, signed, tmp_path):
    folder, ran = armed
    assert failed(folder, key=key) == {"signature": set()}
    shutil.copy(signed / layout.SIGNATURE, folder / layout.SIGNATURE)
    assert failed(folder, key=key)["signature"]
    (folder / layout.SIGNATURE).unlink()
    other = frozen_toys.key_pair(tmp_path)
    sign(folder, other[0])
    assert "signature" in failed(folder, key=key)
    assert not ran.exists()


def spoil_once_read(monkeypatch, change):
    """Let something change a folder as soon as it has been read."""

    def take(folder):
        found = read(folder)
        change(folder)
        return found

    read = snapshot.take
    monkeypatch.setattr(snapshot, "take", take)


def test_what_is_loaded_are_the_bytes_that_were_hashed(signed, monkeypatch):
    def spoil(folder):
        for path in folder.rglob("*"):
            path.chmod(0o644)
            path.write_bytes(b"")

    before = proven(signed)
    spoil_once_read(monkeypatch, spoil)
    after = proven(signed)
    for one, other in zip(before.members, after.members, strict=True):
        for name, weights in one.state_dict().items():
            assert torch.equal(weights, other.state_dict()[name])


def test_a_program_that_changes_after_the_signature_was_checked_is_not_opened(signed, key, monkeypatch, tmp_path):
    ran = tmp_path / "ran"
    evil = with_code((signed / "model.pt2").read_bytes(), f"__import__('pathlib').Path({str(ran)!r}).touch()")
    checked = signature.check

    def check(found, key):
        verdict = checked(found, key)
        (signed / "model.pt2").chmod(0o644)
        (signed / "model.pt2").write_bytes(evil)
        return verdict

    monkeypatch.setattr(signature, "check", check)
    (problem,) = [check for check in prove(signed, key=key) if not check.passed]
    assert "model.pt2 changed while it was verified" in str(problem.value)
    assert not ran.exists()


def test_files_that_change_while_the_signature_is_checked_fail(signed, key, monkeypatch):
    """The folder is right again when the signature is checked; what was read is not."""
    good = (signed / "thresholds.json").read_bytes()
    (signed / "thresholds.json").chmod(0o644)
    (signed / "thresholds.json").write_bytes(good.replace(b"val", b"VAL"))
    spoil_once_read(monkeypatch, lambda folder: (folder / "thresholds.json").write_bytes(good))
    assert failed(signed, key=key)["signature"] == {"thresholds.json"}


def test_cuda_is_asked_for_before_anything_is_said(folder):
    if torch.cuda.is_available():
        assert [check.check for check in prove(folder, device="auto")][-1] == "golden logits of model.pt2 on cuda"
        assert not failed(folder, device="cuda")
    else:
        with pytest.raises(InputError, match="no usable CUDA device"):
            next(prove(folder, device="cuda"))


def test_weights_of_another_model_fail_although_the_sums_fit(folder):
    tensors, facts = checkpoint.load_tensors(folder / "model.safetensors")
    tensors["fc.bias"] = tensors["fc.bias"] + 0.5
    other = folder.parent / "other.safetensors"
    checkpoint.save_tensors(other, tensors, facts)
    reseal(folder, "model.safetensors", other.read_bytes())
    found = failed(folder)
    assert found["weights, manifest, evaluation and steps name each other"] == {"model.safetensors"}
    assert "content is that of a frozen model" in found  # load_model refuses the digest before any logit


def test_a_program_of_another_model_fails_on_its_golden_logits(folder, key, signed_bundle, tmp_path_factory):
    other = frozen_toys.bundle(tmp_path_factory, members=2) / "frozen" / "member-1" / "model.pt2"
    reseal(folder, "model.pt2", other.read_bytes())
    sign(folder, signed_bundle / "key.pem")
    assert set(failed(folder, key=key)) == {"golden logits of model.pt2 on cpu"}


def test_golden_logits_that_were_changed_fail(folder, key, signed_bundle):
    kept = read_golden(folder / "golden.npz")
    logits = kept.logits.copy()
    logits[3] += 0.01
    write_golden(folder.parent / "golden.npz", Golden(kept.galaxy_id, kept.label, kept.cutouts, logits))
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    sign(folder, signed_bundle / "key.pem")
    found = failed(folder, key=key)
    assert found["golden logits of model.safetensors on cpu"] == {str(kept.galaxy_id[3])}
    assert found["golden logits of model.pt2 on cpu"] == {str(kept.galaxy_id[3])}


def test_golden_logits_may_differ_by_rounding(folder):
    kept = read_golden(folder / "golden.npz")
    near = Golden(kept.galaxy_id, kept.label, kept.cutouts, kept.logits + 1e-5)
    write_golden(folder.parent / "golden.npz", near)
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    assert not failed(folder)


def test_golden_logits_that_are_no_numbers_fail(folder):
    kept = read_golden(folder / "golden.npz")
    spoiled = Golden(kept.galaxy_id, kept.label, kept.cutouts, np.full_like(kept.logits, np.nan))
    write_golden(folder.parent / "golden.npz", spoiled)
    reseal(folder, "golden.npz", (folder.parent / "golden.npz").read_bytes())
    assert "golden logits of model.safetensors on cpu" in failed(folder)


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
    chain = from_json((folder / "provenance.json").read_bytes(), "toy")
    shorter = tuple(step for step in chain if step.command != "sample")
    reseal(folder, "provenance.json", to_json(shorter).encode())
    assert failed(folder)["provenance from the pool to here"] == {"provenance.json"}


def test_a_gate_line_taken_out_is_missed(folder):
    lines = (folder / "gates.jsonl").read_text().splitlines(keepends=True)
    reseal(folder, "gates.jsonl", "".join(lines[1:]).encode())
    assert failed(folder).keys() == {"required gates passed, or were let pass"}


def test_what_is_no_folder_cannot_be_verified(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(InputError, match="no such folder"):
            list(prove(path))


def test_an_empty_folder_is_not_a_frozen_model(tmp_path):
    assert failed(tmp_path) == {"SHA256SUMS can be read": {layout.SUMS}}


def unproved(folder, name, value):
    """Entries of a JSON file that may hold another value, with every list made to fit, and nothing says no."""
    before = content(folder)
    facts = json.loads(before[name])
    found = set()
    for part in (facts, *(facts[key] for key in ("model", "calibration") if key in facts)):
        for entry, kept in part.items():
            part[entry] = value
            reseal(folder, name, json.dumps(facts).encode())
            if kept != value and not failed(folder):
                found.add(entry)
            part[entry] = kept
    for file, data in before.items():
        (folder / file).write_bytes(data)
    return found


@pytest.mark.parametrize("name", [layout.FROZEN, layout.THRESHOLDS])
def test_a_claim_of_another_shape_is_a_no_and_what_nothing_proves_is_known(folder, name):
    assert unproved(folder, name, "x") == (UNPROVED if name == layout.FROZEN else set())


@pytest.mark.soak
@pytest.mark.parametrize("name", [layout.FROZEN, layout.THRESHOLDS, layout.METRICS])
@pytest.mark.parametrize("value", [None, [], {}, -1, 1e300, True], ids=repr)
def test_a_claim_of_any_shape_is_a_no_and_not_a_crash(folder, name, value):
    assert unproved(folder, name, value) <= UNPROVED | NOTHING_ALLOWED
