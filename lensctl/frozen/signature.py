"""Signatures of a frozen model in the OpenSSF model-signing format, with a key pair, without a network or a service.

The format is that of the `model-signing` package, which does the work here: a Sigstore bundle around an in-toto
statement that lists the SHA-256 of every file. Either side verifies what the other signed.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout
from lensctl.rules.errors import InputError
from lensctl.rules.object_names import LEDGER

if TYPE_CHECKING:
    from model_signing import hashing

NOT_SIGNED = (layout.SIGNATURE, layout.SUMS, LEDGER)
"""What a signature of ours leaves out: itself, the sums (they hold it, as everything else), the note of a sync."""

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MAKE_A_KEY = "make a pair: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout"
INSTALL = "pip install 'lensctl[sign]'"


class NeedsPassphrase(InputError):
    """A private key is encrypted, and its passphrase was not given."""


@dataclass(frozen=True)
class PrivateKey:
    """A private key that can sign: where it lies, and what it is encrypted with, if it is."""

    path: Path
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PublicKey:
    """A public key that can check a signature."""

    path: Path


@dataclass(frozen=True)
class SignatureVerdict:
    """Whether a signature holds, in a few words why not, the files it is at odds with, and how many files it covers."""

    holds: bool
    reason: str
    files: tuple[str, ...] = ()
    covered: int = 0


def private_key(path: Path, passphrase: str | None = None) -> PrivateKey:
    """A private key in PEM; NeedsPassphrase where it is encrypted, InputError where it cannot sign."""
    _require_the_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = _read(path)
    secret = passphrase.encode() if passphrase is not None and b"ENCRYPTED" in data else None
    try:
        key: Any = serialization.load_pem_private_key(data, secret)
    except TypeError as error:
        raise NeedsPassphrase(f"{path}: the key is encrypted, and no passphrase was given", "give it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise InputError(f"{path}: the passphrase does not open this key", "give the right one") from error
        public = b"PUBLIC KEY" in data
        what = "a public key, and only its private half can sign" if public else "not a private key in PEM"
        raise InputError(f"{path}: {what}", MAKE_A_KEY) from error
    _refuse_other_kinds(path, key)
    return PrivateKey(path, secret)


def public_key(path: Path) -> PublicKey:
    """A public key in PEM; InputError where it cannot check a signature."""
    _require_the_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = _read(path)
    try:
        key: Any = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        private = b"PRIVATE KEY" in data
        what = "a private key: keep it to yourself" if private else "not a public key in PEM"
        raise InputError(
            f"{path}: {what}", "give its public half: openssl ec -in key.pem -pubout" if private else MAKE_A_KEY
        ) from error
    _refuse_other_kinds(path, key)
    return PublicKey(path)


def sign(folder: Path, name: str, key: PrivateKey) -> None:
    """Write the signature of everything in a folder into it; the statement calls it by `name`."""
    from model_signing import hashing, signing

    class Named(hashing.Config):
        """Hashes a folder that does not have its own name yet."""

        def hash(self, model_path: hashing.PathLike, *, files_to_hash: Any = None) -> Any:
            found = super().hash(model_path, files_to_hash=files_to_hash)
            found._name = name
            return found

    config = signing.Config().use_elliptic_key_signer(
        private_key=key.path,
        password=key.passphrase,  # type: ignore[arg-type]  # said to be str, and handed on to what takes bytes
    )
    hashed = Named()  # type: ignore[no-untyped-call]
    hashed.set_ignored_paths(paths=NOT_SIGNED, ignore_git_paths=False)
    config.set_hashing_config(hashed).sign(folder.resolve(), folder / layout.SIGNATURE)


def check(folder: Path, key: PublicKey) -> SignatureVerdict:
    """Whether the signature in a folder is by this key, of exactly the files that are there."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import hashing, verifying

    path = folder / layout.SIGNATURE
    if path.is_symlink() or not path.is_file():
        return SignatureVerdict(False, "it is not signed")
    config = verifying.Config().use_elliptic_key_verifier(public_key=key.path)
    try:
        signed = _statement(path)
        ignored = [name for name in NOT_SIGNED if name not in signed]  # others sign the sums too
        config.set_hashing_config(hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a warning where the bundle names no key
            config.verify(folder.resolve(), path)
    except InvalidSignature:
        return SignatureVerdict(False, "it was not made by this key, or was touched")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        if str(error).startswith("Key mismatch"):
            return SignatureVerdict(False, "it was made by another key")
        if str(error).startswith("Signature mismatch"):
            return SignatureVerdict(False, "files are not those that were signed", tuple(_at_odds(folder, signed)))
        return SignatureVerdict(False, "it cannot be read, or was touched")
    bare = sorted(set(layout.contents_of(folder).files) - set(signed) - set(NOT_SIGNED))
    if bare:
        return SignatureVerdict(False, "it leaves out files", tuple(bare), len(signed))
    return SignatureVerdict(True, "holds", (), len(signed))


def _statement(path: Path) -> dict[str, str]:
    """SHA-256 by file name, as a signature lists them; to be believed only once the signature holds."""
    payload = json.loads(path.read_text(encoding="utf-8"))["dsseEnvelope"]["payload"]
    resources = json.loads(base64.b64decode(payload, validate=True))["predicate"]["resources"]
    return {str(resource["name"]): str(resource["digest"]) for resource in resources}


def _at_odds(folder: Path, signed: dict[str, str]) -> list[str]:
    """Files that differ from what was signed, are missing, or were not signed."""
    there = set(layout.contents_of(folder).files) - (set(NOT_SIGNED) - set(signed))
    same = {name for name in there & set(signed) if layout.sha256(folder / name) == signed[name]}
    return sorted((there | set(signed)) - same)


def _require_the_library() -> None:
    try:
        importlib.import_module("model_signing")
    except ImportError as error:
        raise InputError(f"signatures need the model-signing package ({error})", INSTALL) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "give the path of a key in PEM") from error


def _refuse_other_kinds(path: Path, key: Any) -> None:
    """Only elliptic curves of NIST's three, which the format knows."""
    curve = getattr(getattr(key, "curve", None), "name", "")
    if curve not in CURVES:
        kind = type(key).__name__.removesuffix("Key").removesuffix("Private").removesuffix("Public").lstrip("_")
        what = f"on the curve {curve}" if curve else f"of the kind {kind}"
        raise InputError(f"{path}: a key {what}, not on one of {', '.join(CURVES.values())}", MAKE_A_KEY)
