"""Whatever torch raises on bytes that are no model is one error; an interrupt and a missing file stay what they are."""

from __future__ import annotations

import pytest

from lensctl.learning.torch_errors import InvalidFile, unpickling
from lensctl.rules.errors import InputError


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, FileNotFoundError, InputError])
def test_what_the_bytes_did_not_cause_passes(kind):
    with pytest.raises(kind, match="why"), unpickling():
        raise kind("why")


@pytest.mark.parametrize(
    ("error", "message"), [(MemoryError(), "MemoryError"), (UnicodeError("odd\nbytes"), "UnicodeError: odd")]
)
def test_the_message_names_what_was_raised(error, message):
    with pytest.raises(InvalidFile) as found, unpickling():
        raise error
    assert str(found.value) == message
