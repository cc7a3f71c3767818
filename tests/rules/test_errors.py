"""What an error may say: one sentence, and no secret of an address."""

from __future__ import annotations

import time

import pytest

from lensctl.rules.errors import InputError, first_line, printable, shortened, without_secrets

FIT = {
    "https://www.legacysurvey.org/viewer": None,
    "https://host:8080/a@b/viewer": None,
    "http://[::1]:80/viewer/fits-cutout?ra=1.5&dec=-2&size=101&layer=ls-dr10&pixscale=0.262&bands=grz": None,
    "s3://bucket/part-?.parquet": None,
    "s3://bucket/a#b": None,
    "no address: user:word@host": None,
    "https://user:word@host/viewer": "https://host/viewer",
    "https://user@host/viewer": "https://host/viewer",
    "https://token:@host:8080/viewer": "https://host:8080/viewer",
    "https://user:w@rd@host/viewer": "https://host/viewer",
    "https://user:w/rd@host/viewer": "https://host/viewer",
    "https://user:w?rd@host/viewer": "https://host/viewer",
    "s3://key:secret@bucket/a": "s3://bucket/a",
    "s3://bucket/a?X-Amz-Signature=1&X-Amz-Credential=2": "s3://bucket/a",
    "https://host/a?sig=1&ra=2&token=3": "https://host/a?ra=2",
    "https://host/a?secret": "https://host/a",
    "https://host/a#access_token=1": "https://host/a",
    "https://u:p@a/x?t=1: no answer, nor from 'https://u:p@b/y?t=2', (http://c?t=1).": (
        "https://a/x: no answer, nor from 'https://b/y', (http://c)."
    ),
    '{"url": "https://u:p@host/viewer?token=1", "x": "a@b"}': '{"url": "https://host/viewer", "x": "a@b"}',
}


@pytest.mark.parametrize("text", FIT)
def test_of_an_address_is_kept_what_is_no_secret(text):
    fit = FIT[text] or text
    assert without_secrets(text) == fit
    assert without_secrets(fit) == fit


def test_errors_and_first_lines_have_no_secrets():
    error = InputError("https://user:word@host: no such host", "ask https://host?token=word")
    assert (str(error), error.fix) == ("https://host: no such host", "ask https://host")
    assert first_line(OSError("x https://user:word@host/y"), 12) == "x https://ho", "left out before it is cut"


def test_a_long_text_is_read_in_time():
    started = time.perf_counter()
    for text in ("a.", 'http://x?:::::"', "http://a:b", "http://", "http://a:", "http://x?"):
        without_secrets(text * 2000 + "://")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mDR10\x1b]0;pwn\x07", r"\x1b[31mDR10\x1b]0;pwn\x07"),
        ("a\rb\x9bc\x7f", r"a\rb\x9bc\x7f"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("half \ud800", r"half \ud800"),
        ("längst\tone\ntwo – …", "längst\tone\ntwo – …"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_code(text, shown):
    assert printable(text) == shown
    assert "\x1b" not in first_line(ValueError(text))


@pytest.mark.parametrize(
    "address", ["https://me:hunter2@host/x", "s3://me:hunter2@host/x", "https://host/x?token=hunter2"]
)
def test_a_cut_through_an_address_does_not_uncover_its_secret(address):
    for before in range(40):
        assert "hunter" not in shortened("x" * before + " " + address + " " + "y" * 40, 40)
    assert shortened("x" * 41, 40) == "x" * 39 + "…"
    assert shortened("x" * 40, 40) == "x" * 40
