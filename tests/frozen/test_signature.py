"""Signatures in the OpenSSF model-signing format: they hold, others' tools take them, and nothing else passes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.frozen import layout, signature, snapshot
from lensctl.rules.errors import InputError
from tests.toys.frozen import flip, key_pair


@pytest.fixture
def keys(tmp_path):
    """A private key and its public half, as files."""
    return key_pair(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """A folder with files below it, and sums."""
    made = tmp_path / "model"
    (made / "member-0").mkdir(parents=True)
    (made / "README.md").write_text("a model")
    (made / "member-0" / "model.safetensors").write_bytes(bytes(range(256)))
    (made / layout.SUMS).write_text("sums")
    return made


def sign(folder, keys, name="toy"):
    signature.sign(folder, name, signature.private_key(keys[0]))
    return signature.public_key(keys[1])


def check(folder, public):
    return signature.check(snapshot.take(folder), public)


def peer(*arguments):
    """Run the model-signing package's own command line; its exit status."""
    done = subprocess.run([sys.executable, "-m", "model_signing", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode


def test_what_was_signed_holds_by_its_key_under_any_folder_name(folder, keys):
    public = sign(folder, keys)
    assert check(folder, public) == signature.SignatureVerdict(True, "holds", (), 2)
    moved = folder.rename(folder.parent / "elsewhere")
    assert check(moved, public).holds
    (folder.parent / "link").symlink_to(moved)
    assert check(folder.parent / "link", public).holds


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_each_curve_of_the_format_signs(folder, tmp_path, curve):
    public = sign(folder, key_pair(tmp_path, curve))
    assert check(folder, public).holds


def test_the_model_signing_package_verifies_what_we_sign_and_we_what_it_signs(folder, keys):
    public = sign(folder, keys)
    signed = folder / layout.SIGNATURE
    asked = ("verify", "key", folder, "--public_key", keys[1], "--signature", signed)
    assert peer(*asked) == 0
    (folder / "README.md").write_text("another")
    assert peer(*asked) == 1
    signed.unlink()
    assert peer("sign", "key", folder, "--private_key", keys[0], "--signature", signed) == 0
    assert check(folder, public) == signature.SignatureVerdict(True, "holds", (), 3)
    (folder / layout.SUMS).write_text("other sums")  # ours leave them out, theirs do not
    assert check(folder, public).files == (layout.SUMS,)


def test_the_statement_calls_the_model_by_its_name(folder, keys):
    import base64
    import json

    sign(folder, keys, "resnet18-0123")
    bundle = json.loads((folder / layout.SIGNATURE).read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["subject"][0]["name"] == "resnet18-0123"
    names = [resource["name"] for resource in statement["predicate"]["resources"]]
    assert names == ["README.md", "member-0/model.safetensors"]


def test_a_signature_that_leaves_a_file_out_does_not_hold(folder, keys):
    from model_signing import hashing, signing

    config = signing.Config().use_elliptic_key_signer(private_key=keys[0])
    left_out = hashing.Config().set_ignored_paths(paths=["README.md", layout.SIGNATURE])
    config.set_hashing_config(left_out).sign(folder, folder / layout.SIGNATURE)
    answer = check(folder, signature.public_key(keys[1]))
    assert (answer.holds, answer.reason, answer.files) == (False, "files not covered", ("README.md",))


def touch_content(folder):
    (folder / "README.md").write_text("a Model")
    return "README.md"


def add_a_file(folder):
    (folder / "more").write_text("")
    return "more"


def add_a_hidden_file(folder):
    (folder / ".hidden").write_text("")
    return ".hidden"


def take_a_file(folder):
    (folder / "README.md").unlink()
    return "README.md"


@pytest.mark.parametrize("change", [touch_content, add_a_file, add_a_hidden_file, take_a_file])
def test_a_file_that_changed_after_signing_is_named(folder, keys, change):
    public = sign(folder, keys)
    name = change(folder)
    answer = check(folder, public)
    assert (answer.holds, answer.reason) == (False, "files differ from those signed")
    assert answer.files == (name,)


def test_a_link_that_leads_out_does_not_hold(folder, keys, tmp_path):
    (tmp_path / "outside").write_text("a model")
    public = sign(folder, keys)
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(tmp_path / "outside")
    assert not check(folder, public).holds


def test_an_unsigned_folder_and_another_key_are_a_no(folder, keys, tmp_path):
    public = signature.public_key(keys[1])
    assert check(folder, public).reason == "not signed"
    (tmp_path / "other").mkdir()
    sign(folder, key_pair(tmp_path / "other"))
    assert check(folder, public).reason == "made by another key"


def test_another_key_that_claims_to_be_ours_is_a_no(folder, keys, tmp_path):
    public = sign(folder, keys)
    ours = (folder / layout.SIGNATURE).read_text()
    (tmp_path / "other").mkdir()
    other = sign(folder, key_pair(tmp_path / "other"))
    theirs = (folder / layout.SIGNATURE).read_text()
    hints = [text.partition('"hint":"')[2][:64] for text in (ours, theirs)]
    (folder / layout.SIGNATURE).write_text(theirs.replace(hints[1], hints[0]))
    assert check(folder, public).reason == "made by another key, or modified"
    (folder / layout.SIGNATURE).write_text(theirs)
    assert check(folder, other).holds


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "[" * 100_000, '{"dsseEnvelope": {"payload": "e30="}}', "\ud800"]
)
def test_rubbish_for_a_signature_is_a_no_not_a_crash(folder, keys, text):
    (folder / layout.SIGNATURE).write_bytes(text.encode("utf-8", "surrogatepass"))
    answer = check(folder, signature.public_key(keys[1]))
    assert (answer.holds, answer.reason) == (False, "unreadable or modified")


def test_a_signature_that_names_no_key_says_nothing_on_stdout(folder, keys, capfd):
    public = sign(folder, keys)
    path = folder / layout.SIGNATURE
    text = path.read_text()
    hint = text.partition('"hint":"')[2][:64]
    path.write_text(text.replace(f'"hint":"{hint}"', '"hint":""'))
    assert check(folder, public).holds
    assert capfd.readouterr().out == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_signature_never_crashes_and_never_covers_other_files(folder, keys, place, bit):
    path = folder / layout.SIGNATURE
    if not path.exists():
        sign(folder, keys)
    before = path.read_bytes()
    flip(path, place % len(before), bit)
    answer = check(folder, signature.public_key(keys[1]))
    path.write_bytes(before)
    assert not answer.holds or answer.covered == 2


def test_an_encrypted_key_opens_with_its_passphrase_alone(folder, tmp_path):
    for kind in ("PKCS8", "TraditionalOpenSSL"):
        private, public = key_pair(tmp_path, passphrase=b"open sesame", format=kind)
        signature.sign(folder, "toy", signature.private_key(private, "open sesame"))
        assert check(folder, signature.public_key(public)).holds
        with pytest.raises(InputError, match=r"key\.pem: incorrect passphrase"):
            signature.private_key(private, "wrong")
        with pytest.raises(signature.NeedsPassphrase, match="is encrypted, and no passphrase was given"):
            signature.private_key(private)


def test_a_passphrase_that_is_not_needed_does_no_harm(keys):
    assert signature.private_key(keys[0], "not needed").passphrase is None


def test_a_passphrase_is_not_shown(tmp_path):
    private, _ = key_pair(tmp_path, passphrase=b"open sesame")
    assert "sesame" not in repr(signature.private_key(private, "open sesame"))


def other_kind(tmp_path, key):
    """A key pair of a kind that the format does not know."""
    plain = serialization.NoEncryption()
    private, public = tmp_path / "other.pem", tmp_path / "other.pub"
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "of type RSA"),
        (ed25519.Ed25519PrivateKey.generate, "of type Ed25519"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "on curve secp256k1"),
    ],
)
def test_a_key_of_another_kind_is_refused_and_named(tmp_path, make, kind):
    private, public = other_kind(tmp_path, make())
    with pytest.raises(InputError, match=rf"other\.pem: a key {kind}, not on P-256, P-384, P-521"):
        signature.private_key(private)
    with pytest.raises(InputError, match=rf"other\.pub: a key {kind}, not on P-256"):
        signature.public_key(public)


def test_keys_that_are_none_are_refused_plainly(keys, tmp_path):
    private, public = keys
    (tmp_path / "text").write_text("hello")
    for load in (signature.private_key, signature.public_key):
        with pytest.raises(InputError, match=r"nowhere: cannot be read \(No such file"):
            load(tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
            load(tmp_path)
        with pytest.raises(InputError, match=r"text: not a (private|public) key in PEM"):
            load(tmp_path / "text")
    with pytest.raises(InputError, match="a public key; signing needs the private key"):
        signature.private_key(public)
    with pytest.raises(InputError, match="a private key; do not share it"):
        signature.public_key(private)


def test_without_the_library_it_says_how_to_have_it(keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    for load, key in zip((signature.private_key, signature.public_key), keys, strict=True):
        with pytest.raises(InputError, match="signatures need the model-signing package") as error:
            load(key)
        assert error.value.fix == "pip install 'lensctl[sign]'"
