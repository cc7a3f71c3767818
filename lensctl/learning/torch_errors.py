"""What torch raises on files that are none of its own: its readers meet the bytes without a check."""

import pickle
import struct
import zipfile

NOT_ITS_OWN = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, ImportError, ArithmeticError, AssertionError),
    *(EOFError, MemoryError, struct.error, zipfile.BadZipFile, pickle.UnpicklingError),
)
