"""Addresses on web servers: what is sent to the server, and what may be recorded and shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lensctl.rules.errors import InputError


@dataclass(frozen=True)
class Address:
    """The address of a web server or of a folder on it.

    Parameters
    ----------
    base : str
        Scheme, host, port and path, fit to be recorded and shown; without a trailing slash.
    query : str
        Sent with every request: it may hold a token or a signature.
    headers : mapping
        Sent with every request: authorization by user and password.
    """

    base: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def sent(self, url: str) -> str:
        """A URL below `base`, as it is sent."""
        return url if not self.query else f"{url}{'&' if '?' in url else '?'}{self.query}"


def is_web(path: str | Path) -> bool:
    """Whether a path is an address on a web server."""
    return str(path).startswith(("http://", "https://"))


def address_of(text: str, what: str) -> Address:
    """Parse an address; InputError, which does not repeat it, if it is none. `what` names it, such as `--url`."""
    fix = "write it as https://host/path, with a password's special characters percent-encoded (@ is %40)"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{what}: not the address of a web server", fix) from error
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\"<>\\^`{|}\x00-\x1f]", text):
        raise InputError(f"{what}: not the address of a web server", fix)
    place = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path}".rstrip("/")
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Address(base, parts.query, headers)
