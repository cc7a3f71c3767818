"""Signatures of a frozen model in the OpenSSF model-signing format, with a key pair, offline.

The `model-signing` package does the work: a Sigstore bundle around an in-toto statement that lists the SHA-256 of
every file. Signatures are interchangeable with those made by that package directly.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout
from lensctl.frozen.snapshot import Snapshot
from lensctl.io.temporary import temporary_folder
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError
from lensctl.rules.object_names import LEDGER

if TYPE_CHECKING:
    from model_signing import hashing

NOT_SIGNED = (layout.SIGNATURE, layout.SUMS, LEDGER)
"""Files not covered by our signature: itself, SHA256SUMS (which lists it), the ledger of `lensctl sync`."""

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MAKE_A_KEY = (
    "create a key pair: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout"
)
INSTALL = "pip install 'lensctl[sign]'"


class NeedsPassphrase(InputError):
    """A private key is encrypted, and its passphrase was not given."""


@dataclass(frozen=True)
class PrivateKey:
    """A private key that can sign: its path and, if encrypted, its passphrase."""

    path: Path
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PublicKey:
    """A public key that can check a signature."""

    path: Path


@dataclass(frozen=True)
class SignatureVerdict:
    """Whether a signature is valid, the reason if not, the files that do not match, and how many files it covers."""

    holds: bool
    reason: str
    files: tuple[str, ...] = ()
    covered: int = 0


def private_key(path: Path, passphrase: str | None = None) -> PrivateKey:
    """A private key in PEM; NeedsPassphrase if it is encrypted, InputError if it cannot sign."""
    _require_model_signing()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = _read(path)
    secret = passphrase.encode() if passphrase is not None and b"ENCRYPTED" in data else None
    try:
        key: Any = serialization.load_pem_private_key(data, secret)
    except TypeError as error:
        raise NeedsPassphrase(
            f"{path}: the key is encrypted, and no passphrase was given", "give the passphrase"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise InputError(f"{path}: incorrect passphrase", "give the right one") from error
        public = b"PUBLIC KEY" in data
        problem = "a public key; signing needs the private key" if public else "not a private key in PEM"
        raise InputError(f"{path}: {problem}", MAKE_A_KEY) from error
    _refuse_other_key_types(path, key)
    return PrivateKey(path, secret)


def public_key(path: Path) -> PublicKey:
    """A public key in PEM; InputError if it cannot verify a signature."""
    _require_model_signing()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = _read(path)
    try:
        key: Any = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        private = b"PRIVATE KEY" in data
        problem = "a private key; do not share it" if private else "not a public key in PEM"
        raise InputError(
            f"{path}: {problem}", "give the public key: openssl ec -in key.pem -pubout" if private else MAKE_A_KEY
        ) from error
    _refuse_other_key_types(path, key)
    return PublicKey(path)


def sign(folder: Path, name: str, key: PrivateKey) -> None:
    """Sign everything in a folder and write the signature into it; `name` is the model's name in the statement."""
    from model_signing import hashing, signing

    class Named(hashing.Config):
        """Hashes a folder that does not have its final name yet."""

        def hash(self, model_path: hashing.PathLike, *, files_to_hash: Any = None) -> Any:
            hashed = super().hash(model_path, files_to_hash=files_to_hash)
            hashed._name = name
            return hashed

    config = signing.Config().use_elliptic_key_signer(
        private_key=key.path,
        password=key.passphrase,  # type: ignore[arg-type]  # annotated as str, but bytes are needed
    )
    hashing_config = Named()  # type: ignore[no-untyped-call]
    hashing_config.set_ignored_paths(paths=NOT_SIGNED, ignore_git_paths=False)
    config.set_hashing_config(hashing_config).sign(folder.resolve(), folder / layout.SIGNATURE)


def check(found: Snapshot, key: PublicKey) -> SignatureVerdict:
    """Whether the signature in a folder is by this key and covers exactly the files present, as they were read."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import hashing, verifying

    if layout.SIGNATURE not in found.contents:
        return SignatureVerdict(False, "not signed")
    bundle = found.contents[layout.SIGNATURE]
    config = verifying.Config().use_elliptic_key_verifier(public_key=key.path)
    try:
        signed = _statement(bundle)
        left_out = (*NOT_SIGNED, *layout.OF_THE_HUB)
        ignored = [name for name in left_out if name not in signed]  # other tools also sign SHA256SUMS
        config.set_hashing_config(hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False))
        with temporary_folder("signature") as private, contextlib.redirect_stdout(io.StringIO()):
            copy = private / layout.SIGNATURE  # the bytes of the statement above, whatever happens to the folder
            copy.write_bytes(bundle)
            config.verify(found.folder.resolve(), copy)  # it prints a warning if the bundle names no key
    except InvalidSignature:
        return SignatureVerdict(False, "made by another key, or modified")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        if str(error).startswith("Key mismatch"):
            return SignatureVerdict(False, "made by another key")
        if str(error).startswith("Signature mismatch"):
            return SignatureVerdict(False, "files differ from those signed", tuple(_mismatched(found, signed)))
        return SignatureVerdict(False, "unreadable or modified")
    if differing := [name for name, digest in signed.items() if found.digests.get(name) != digest]:
        return SignatureVerdict(False, "files changed while they were verified", tuple(sorted(differing)))
    unsigned = sorted(set(found.digests) - set(signed) - set(NOT_SIGNED))
    if unsigned:
        return SignatureVerdict(False, "files not covered", tuple(unsigned), len(signed))
    return SignatureVerdict(True, "holds", (), len(signed))


def _statement(bundle: bytes) -> dict[str, str]:
    """SHA-256 by file name, as listed in a signature; not to be trusted before the signature is verified."""
    payload = json_value(bundle)["dsseEnvelope"]["payload"]
    resources = json_value(base64.b64decode(payload, validate=True))["predicate"]["resources"]
    return {str(resource["name"]): str(resource["digest"]) for resource in resources}


def _mismatched(found: Snapshot, signed: dict[str, str]) -> list[str]:
    """Files that differ from what was signed, are missing, or were not signed."""
    present = set(found.digests) - (set(NOT_SIGNED) - set(signed))
    same = {name for name in present & set(signed) if found.digests[name] == signed[name]}
    return sorted((present | set(signed)) - same)


def _require_model_signing() -> None:
    try:
        importlib.import_module("model_signing")
    except ImportError as error:
        raise InputError(f"signatures need the model-signing package ({error})", INSTALL) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "give the path of a key in PEM") from error


def _refuse_other_key_types(path: Path, key: Any) -> None:
    """Raise InputError unless the key is on one of the three NIST curves that the format supports."""
    curve = getattr(getattr(key, "curve", None), "name", "")
    if curve not in CURVES:
        kind = type(key).__name__.removesuffix("Key").removesuffix("Private").removesuffix("Public").lstrip("_")
        kind_text = f"on curve {curve}" if curve else f"of type {kind}"
        raise InputError(f"{path}: a key {kind_text}, not on {', '.join(CURVES.values())}", MAKE_A_KEY)
