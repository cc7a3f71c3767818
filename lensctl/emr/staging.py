"""Files a cluster fetches from S3: wheel, constraints, bootstrap script, launcher and config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lensctl.emr import wheel as wheels
from lensctl.io.provenance import digests
from lensctl.io.storage import s3
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError


@dataclass(frozen=True)
class Staged:
    """S3 URLs of all staged files; folders are named by a digest of their content.

    Attributes
    ----------
    digest : str
        Of the wheel.
    content : dict
        Bytes or local file of each URL.
    """

    root: str
    digest: str
    content: dict[str, bytes | Path]
    wheel: str
    constraints: str
    bootstrap: str
    launcher: str
    config: str | None

    @property
    def logs(self) -> str:
        """URL of the EMR logs."""
        return f"{self.root}/logs/"

    def record(self, token: str) -> str:
        """URL of a step's record; steps of one wheel share a folder."""
        return f"{records_of(self.root, self.digest)}/{token}.json"

    def upload(self) -> None:
        """Upload everything to S3."""
        for url, data in self.content.items():
            s3.upload(data, url) if isinstance(data, Path) else s3.write_object(url, data)


def records_of(root: str, digest: str) -> str:
    """Folder of the records of all steps of a wheel."""
    return f"{root}/records/{digest.removeprefix('sha256:')}"


def stage(root: str, checkout: wheels.Checkout, wheel: Path, config: Path | None) -> Staged:
    """Decide the URL of each file; InputError if the root is not on S3."""
    if not is_s3(root):
        raise InputError(f"--staging {root} is not on S3", "write it as s3://bucket/folder")
    root = f"s3://{'/'.join(s3.split_url(root)).rstrip('/')}"
    digest = wheels.digest(wheel)
    parts: dict[str, bytes | Path] = {
        wheel.name: wheel,
        "constraints.txt": checkout.constraints,
        "bootstrap.sh": checkout.bootstrap,
        "step.py": wheels.launcher(wheel),
    }
    part_digests = [
        digests.of_bytes(part) if isinstance(part, bytes) else digests.of_file(part) for part in parts.values()
    ]
    place = f"{root}/code/{digests.of_many(part_digests).removeprefix('sha256:')}"
    content = {f"{place}/{name}": part for name, part in parts.items()}
    names = list(content)
    config_url = None
    if config:
        try:
            text = config.read_bytes()
        except OSError as error:
            raise InputError(f"{config}: cannot read the config ({error.strerror})", "give a YAML file") from error
        config_url = f"{root}/configs/{digests.of_bytes(text).removeprefix('sha256:')}.yaml"
        content[config_url] = text
    return Staged(root, digest, content, names[0], names[1], names[2], names[3], config_url)
