"""ETags and digests: what they tell of bytes, however those came."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.sync.etag import WHOLE, Content, content_of_kind, parts_for, parts_of
from tests.toys.sync import MIB


def content_of(chunks, parts=None):
    """The hash of some chunks."""
    content = Content(parts)
    for chunk in chunks:
        content.update(chunk)
    return content


@given(st.binary(min_size=1, max_size=2000), st.integers(1, 300), st.lists(st.integers(0, 2000), max_size=8))
def test_an_etag_does_not_depend_on_how_the_bytes_came(data, part, cuts):
    digests = [hashlib.md5(data[i : i + part]).digest() for i in range(0, len(data), part)]
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    total = content_of((data[a:b] for a, b in itertools.pairwise(edges)), part)
    assert total.etag == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
    assert total.digest == f"etag:{total.etag}"


def test_what_an_etag_tells():
    total = content_of([b"abc"], WHOLE)
    assert total.agrees(hashlib.md5(b"abc").hexdigest()) is True
    assert total.agrees(hashlib.md5(b"abd").hexdigest()) is False
    assert total.agrees("0" * 32 + "-3") is None
    assert total.agrees("not-an-md5") is None
    assert content_of([b"abc"]).agrees(hashlib.md5(b"abc").hexdigest()) is None


@given(data=st.binary(min_size=1, max_size=100), parts=st.sampled_from([None, WHOLE, 8 * MIB, 5 * MIB]))
def test_a_digest_says_how_to_take_it_again(data, parts):
    digest = content_of([data], parts).digest
    again = content_of_kind(digest, len(data))
    again.update(data)
    assert again.digest == digest


def test_a_digest_is_what_other_tools_say():
    assert content_of([b"abc"]).digest == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert content_of([b"abc"], WHOLE).digest == f"md5:{hashlib.md5(b'abc').hexdigest()}"


@pytest.mark.parametrize("size", [8 * MIB + 1, 100 * MIB, 79 * 1024 * MIB, 5 * 1024**2 * MIB])
def test_ten_thousand_parts_are_enough(size):
    parts = parts_for(size)
    assert parts % MIB == 0
    assert -(-size // parts) <= 10_000
    assert parts_of("0" * 32 + f"-{-(-size // parts)}", size) == parts
