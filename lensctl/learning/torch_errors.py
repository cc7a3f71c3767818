"""Exceptions that torch's readers raise on invalid files, whose bytes they do not check first."""

import pickle
import struct
import zipfile

INVALID_FILE_ERRORS = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, ImportError, ArithmeticError, AssertionError),
    *(EOFError, MemoryError, struct.error, zipfile.BadZipFile, pickle.UnpicklingError),
)
