"""Whom to cite for a frozen model, and what others may do with it: said by its maker, in the usual two files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lensctl.frozen.layout import CITATION, LICENCE
from lensctl.io.paths import refuse_device
from lensctl.rules.config import read_config
from lensctl.rules.errors import InputError, first_line

LARGEST_BYTES = 1 << 20
REQUIRED = ("cff_version", "message", "title", "authors", "license")
"""Keys of a CITATION.cff; the last, an SPDX identifier, may be missing by its standard, and is needed here."""

KEYS = (
    *REQUIRED,
    *("abstract", "commit", "contact", "date_released", "doi", "identifiers", "keywords", "license_url"),
    *("preferred_citation", "references", "repository", "repository_artifact", "repository_code", "type", "url"),
    "version",
)
"""All keys of format 1.2.0 (github.com/citation-file-format/citation-file-format, schema-guide.md)."""


@dataclass(frozen=True)
class Credit:
    """The bytes of CITATION.cff and LICENSE, and the licence's SPDX identifier."""

    citation: bytes
    licence: bytes
    spdx: str

    @property
    def files(self) -> dict[str, bytes]:
        """Both, by the name that they have in a frozen model."""
        return {CITATION: self.citation, LICENCE: self.licence}


def read_credit(citation: str | Path | None, licence: str | Path | None, *, needed: bool = False) -> Credit | None:
    """Read both files; None if neither is given.

    Raises InputError if one is given without the other, or neither where they are `needed`; if the first is no
    CITATION.cff with a licence, or the second is empty.
    """
    if citation is None or licence is None:
        if needed or citation is not None or licence is not None:
            raise InputError(
                "only the makers of a model know whom to cite and what others may do with it",
                "add --citation CITATION.cff and --licence LICENSE",
            )
        return None
    text = _read(licence)
    if not text.strip():
        raise InputError(f"{licence}: the licence is empty", "give the text of a licence")
    return Credit(_read(citation), text, _spdx(citation))


def _read(path: str | Path) -> bytes:
    try:
        refuse_device(path)
        with open(path, "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        data.decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})", "give a text file") from error
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{path}: longer than any citation or licence", "give the file itself")
    return data


def _spdx(citation: str | Path) -> str:
    found = read_config(Path(citation), KEYS)
    missing = [key for key in REQUIRED if not found.get(key)]
    if missing:
        of_licence = missing == ["license"]
        what = "its licence by an SPDX identifier, such as CC-BY-4.0" if of_licence else "what a citation needs"
        raise InputError(
            f"{citation}: key '{missing[0].replace('_', '-')}' is missing",
            f"it says {what}; see citation-file-format.github.io",
        )
    if not isinstance(found["license"], str):
        raise InputError(f"{citation}: license is not one SPDX identifier", "give one, such as CC-BY-4.0")
    return found["license"].strip()
