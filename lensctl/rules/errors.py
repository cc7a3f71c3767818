"""Errors that users can act on: what is wrong, where, and how to fix it."""

from __future__ import annotations

import re

ASKED = ("ra", "dec", "size", "layer", "pixscale", "bands", "ralo", "rahi", "declo", "dechi")
"""What lensctl asks the cutout service; any other value in an address may be a token or a signature."""
_SCHEME = r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)"
_USER = re.compile(_SCHEME + r"(?:[^\s/?#\"]{0,999}@|[^\s/?#@:\"]{0,99}:(?!\d{1,5}(?:[/?#\s\"]|$))[^\s\"]{0,999}@)")
_QUERY = re.compile(_SCHEME + r"([^\s?#\"'<>]{0,999})([?#])([^\s\"'<>]*?)(?=[:,.;)]*(?:[\s\"'<>]|$))")


def without_secrets(text: str) -> str:
    """A text whose addresses are fit to be recorded and shown: no user, password, token or signature.

    Of a query, only what lensctl itself asks is kept; a glob on S3, which looks like a query without values, is too.
    """
    return _QUERY.sub(_asked, _USER.sub(r"\1", text)) if "://" in text else text


def _asked(found: re.Match[str]) -> str:
    scheme, place, mark, rest = found.groups()
    on_web = scheme.startswith("http")
    if mark == "#":
        return scheme + place if on_web else found[0]
    values = (value.partition("=") for value in re.split("[&;]", rest.partition("#")[0] if on_web else rest))
    kept = [name + equals + value for name, equals, value in values if name in ASKED or not (equals or on_web)]
    return scheme + place + ("?" + "&".join(kept) if kept else "")


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, colours or turns round a text on a terminal, or is no character; not tabs and new lines."""


def printable(text: str) -> str:
    """A text in which characters that a terminal would obey are written as their codes, such as \\x1b.

    So are bytes of a name on disk that are not UTF-8, which Python keeps as surrogates.
    """
    return _UNSEEN.sub(lambda found: _code(found[0]), text)


LONGEST_LINE = 1000


def shortened(line: str, most: int = LONGEST_LINE) -> str:
    """A line without its end, where that is longer than anybody reads, and without secrets, which a cut would hide."""
    line = without_secrets(line)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def shown(text: str) -> str:
    """A text as people see it: without secrets in addresses, and with nothing that a terminal would obey."""
    return printable(without_secrets(text))


def _code(letter: str) -> str:
    return f"\\x{ord(letter) & 0xFF:02x}" if "\udc80" <= letter <= "\udcff" else repr(letter)[1:-1]


class LensctlError(Exception):
    """An error that is not a bug: exit status 2.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where (file, row, column). Secrets in addresses are left out.
    fix : str
        How to fix it; may be empty.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(without_secrets(message))
        self.fix = without_secrets(fix)
        if fix:
            self.add_note(f"fix: {self.fix}")  # Python shows it below the message


class InputError(LensctlError):
    """An input, option or setting is wrong."""


class Unfinished(InputError):
    """Something else must be done first; what has been done is of use."""


class ServiceError(LensctlError):
    """A service (S3, HTTP) failed."""


class ReaderGone(Exception):
    """The reader of our stdout exited early: exit status 141. Deliberately not an OSError."""


def first_line(error: object, most: int = 200) -> str:
    """First line of an error message, fit to be shown, or the name of its class if the message is empty."""
    lines = without_secrets(str(error)).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__)[:most]
