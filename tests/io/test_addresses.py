"""Addresses: what goes to the server, what is shown."""

from __future__ import annotations

import pytest

from lensctl.io.addresses import address_of
from lensctl.rules.errors import InputError


def test_base_is_fit_to_be_shown_and_the_rest_is_sent():
    address = address_of("HTTPS://us%40er:wo%2Frd@Host:8080/a%20b/?token=1&x", "--url")
    assert address.base == "https://host:8080/a%20b"
    assert address.headers == {"Authorization": "Basic dXNAZXI6d28vcmQ="}
    assert address.sent(f"{address.base}/c?ra=1") == "https://host:8080/a%20b/c?ra=1&token=1&x"
    assert address.sent(address.base) == "https://host:8080/a%20b?token=1&x"
    assert "token" not in repr(address)
    assert "Basic" not in repr(address)


def test_an_address_without_secrets_is_what_it_was():
    for text in ("https://www.legacysurvey.org/viewer", "http://127.0.0.1:8000", "http://[::1]:8000/x"):
        address = address_of(text, "--url")
        assert (address.base, address.query, address.headers) == (text, "", {})
        assert address.sent(f"{text}/c?ra=1") == f"{text}/c?ra=1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "ftp://word@host",
        "https:///word",
        "https://u:wo/rd@host",
        "https://u:wo rd@host",
        "http://a:9x/word",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(text):
    with pytest.raises(InputError, match=r"^--url: not the address of a web server\n") as caught:
        address_of(text, "--url")
    assert "rd@" not in caught.value.fix
