"""One cutout as one .npz file: `cutout` and scalars named `meta_*`, as in the plan; never pickled.

The same arrays always give the same bytes: members in the order given, dated 1980-01-01, stored or deflated.
"""

from __future__ import annotations

import functools
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lensctl.io.cutouts.layout import LARGEST_PX
from lensctl.io.paths import refuse_device
from lensctl.io.storage.atomic import replace_file
from lensctl.io.unpacking import DEFLATE, inflated
from lensctl.rules.errors import InputError, first_line

CUTOUT = "cutout"
META = "meta_"
PROVENANCE = "meta_lensctl_provenance"
"""Member with the provenance, as JSON bytes."""
REQUIRED = (CUTOUT, "meta_galaxy_id", "meta_ra", "meta_dec")
LARGEST_BYTES = LARGEST_PX**2 * 4 * 8
"""Of a file, and of what it unpacks to: the largest cutout, in eight bands."""
LARGEST_META_BYTES = 16 << 20
DOS_1980 = 33  # 1980-01-01 as ZIP writes dates
DEFLATE_LEVEL = 6

Array = NDArray[Any]
Raw = bytes | memoryview
_NPY_1 = npy.magic(1, 0)


@dataclass(frozen=True)
class Npz:
    """Content of one file: pixels (H, W, B) float32 in nanomaggies, and every `meta_*` with its dtype."""

    cutout: NDArray[np.float32]
    meta: dict[str, Array] = field(default_factory=dict)


def read_npz(path: str | Path, data: bytes | None = None) -> Npz:
    """Read and check one file.

    Parameters
    ----------
    path : path
        The file; used in error messages.
    data : bytes, optional
        Its content, if already read.

    Raises
    ------
    InputError
        No such file, an incomplete zip, a pickled member (never unpickled), a missing required key, a key that is
        neither `cutout` nor `meta_*`, pixels that are not (S, S, B) float32, a non-numeric `meta_ra`.
    """
    if data is None:
        refuse_device(path)
    try:
        members = members_of(read_bounded(path) if data is None else data)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "check the path") from error
    except Pickled as error:
        raise InputError(
            f"{path}: '{error}' is pickled and will not be read", "write it without Python objects"
        ) from error
    except BROKEN as error:
        raise InputError(
            f"{path}: not a complete .npz file ({first_line(error, 120)})", "fetch or make it again"
        ) from error
    missing = [key for key in REQUIRED if key not in members]
    if missing:
        found = ", ".join(list(members)[:8])
        fix = f"required keys: {', '.join(REQUIRED)}"
        raise InputError(f"{path}: key '{missing[0]}' is missing (found: {found})", fix)
    unknown = [key for key in members if key != CUTOUT and not key.startswith(META)]
    if unknown:
        raise InputError(f"{path}: key '{unknown[0]}' is neither cutout nor meta_*", f"name it meta_{unknown[0]}")
    cutout = members.pop(CUTOUT)
    if cutout.dtype != np.dtype("<f4"):
        raise InputError(f"{path}: cutout is {cutout.dtype.str}, not float32", "write it as little-endian float32")
    if cutout.ndim != 3 or cutout.shape[0] != cutout.shape[1] or not cutout.size:
        raise InputError(f"{path}: cutout has shape {cutout.shape}", "write it as (size, size, bands)")
    for key, kinds in (("meta_galaxy_id", "U"), ("meta_ra", "fiu"), ("meta_dec", "fiu")):
        value = members[key]
        if value.ndim or value.dtype.kind not in kinds or (kinds != "U" and not np.isfinite(value)):
            wanted = "a string" if kinds == "U" else "a number"
            raise InputError(f"{path}: {key} is not {wanted}", f"write it as {wanted}, not an array")
    if text_in(members["meta_galaxy_id"]) is None:
        raise InputError(f"{path}: meta_galaxy_id is not text", "write it as a string of whole characters")
    return Npz(cutout, members)


def text_in(value: Array) -> str | None:
    """A string scalar as text; None if it holds what is no character, such as half of a pair."""
    try:
        text = str(value.item())
        text.encode().decode()
    except UnicodeError:
        return None
    return text


class Pickled(Exception):
    """A member holds Python objects."""


BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    EOFError,
    MemoryError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
"""What damaged, encrypted or truncated zips and arrays raise."""


def read_bounded(path: str | Path) -> bytes:
    """The content of a file; ValueError if it is larger than any of ours."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST_BYTES:
            raise ValueError("larger than the largest cutout")
        return file.read(LARGEST_BYTES)


def members_of(data: bytes) -> dict[str, Array]:
    """The arrays in the bytes of an .npz file, by name; raises one of BROKEN, or Pickled.

    Nothing is unpacked beyond the size of the largest cutout, or, of a `meta_*`, beyond that of a small array.
    """
    members: dict[str, Array] = {}
    simple = _simple_members(data)
    if simple is not None:
        return {name: _from_npy(raw, name) for name, raw in simple.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        room = LARGEST_BYTES
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename or name in members:
                raise ValueError(f"member '{info.filename}' is not one .npy array")
            room = _room_after(name, info.file_size, room)
            with archive.open(info) as stream:
                members[name] = _from_npy(stream.read(info.file_size), name)
    return members


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of any .npz file, by name; raises OSError or one of BROKEN, for pickled ones too."""
    try:
        return members_of(read_bounded(path))
    except Pickled as error:
        raise ValueError(f"member '{error}' holds Python objects") from error


def _room_after(name: str, size: int, room: int) -> int:
    """What is left of the largest size after a member; ValueError for one that is larger than any of ours."""
    if size > (min(room, LARGEST_META_BYTES) if name.startswith(META) else room):
        raise ValueError(f"member '{name[:80]}' would take {size / 1e6:,.0f} MB")
    return room - size


_END, _ENTRY, _LOCAL = struct.Struct("<4s4xHHIIH"), struct.Struct("<4s4xHH4xIIIHHH8xI"), struct.Struct("<4s22xHH")


def _simple_members(data: bytes) -> dict[str, Raw] | None:
    """The members of a zip as simple as those NumPy and lensctl write, CRC-checked; stored ones are not copied.

    None for any other or a damaged zip, which `zipfile` then handles.
    """
    members: dict[str, Raw] = {}
    room = LARGEST_BYTES
    view = memoryview(data)
    try:
        mark, here, count, length, at, comment = _END.unpack_from(data, len(data) - _END.size)
        if mark != b"PK\x05\x06" or here != count or comment or at + length != len(data) - _END.size:
            return None
        for _ in range(count):
            mark, flags, method, check, packed, size, named, extra, noted, local = _ENTRY.unpack_from(data, at)
            name = data[at + 46 : at + 46 + named]
            local_mark, local_named, local_extra = _LOCAL.unpack_from(data, local)
            start = local + 30 + local_named + local_extra
            raw: Raw = view[start : start + packed]
            if mark != b"PK\x01\x02" or local_mark != b"PK\x03\x04" or flags or name[-4:] != b".npy":
                return None
            if data[local + 30 : local + 30 + local_named] != name or start + packed > len(data):
                return None
            key = name[:-4].decode("ascii")
            room = _room_after(key, size, room)
            if method == zipfile.ZIP_DEFLATED:
                raw = inflated(raw, size, DEFLATE)
            elif method != zipfile.ZIP_STORED:
                return None
            if len(raw) != size or zlib.crc32(raw) != check or key in members:
                return None
            members[key] = raw
            at += 46 + named + extra + noted
    except (struct.error, UnicodeDecodeError):
        return None
    return members


def _from_npy(raw: Raw, name: str) -> Array:
    start = npy.MAGIC_LEN + 2 + struct.unpack_from("<H", raw, npy.MAGIC_LEN)[0]
    head = bytes(raw[:start])
    if head[: npy.MAGIC_LEN] != _NPY_1:
        return _from_rare_npy(bytes(raw), name)
    shape, order, dtype = _header(head)
    if dtype.hasobject:
        raise Pickled(name)
    if dtype.names or dtype.subdtype:
        raise ValueError(f"member '{name}' is a table, not an array")
    if math.prod(shape) > len(raw):
        raise ValueError(f"member '{name}' has more values than bytes")
    try:
        return np.ndarray(shape, dtype, raw, start, order=order)
    except TypeError as error:  # bytes are missing
        raise ValueError(f"member '{name}' is truncated") from error


def _from_rare_npy(raw: bytes, name: str) -> Array:
    """An array with a version 2 or 3 header (very long, or not ASCII)."""
    stream = io.BytesIO(raw)
    version = npy.read_magic(stream)
    if version not in ((2, 0), (3, 0)):
        raise ValueError(f"member '{name}' has .npy version {version}")
    if npy.read_array_header_2_0(stream)[2].hasobject:
        raise Pickled(name)
    stream.seek(0)
    return np.asarray(npy.read_array(stream, allow_pickle=False))


@functools.lru_cache(maxsize=4096)
def _header(raw: bytes) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Shape, order and dtype; cached, because files share headers."""
    stream = io.BytesIO(raw)
    npy.read_magic(stream)
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    return shape, "F" if fortran else "C", dtype


def to_npy(values: Array) -> bytes:
    """An array as the bytes of an .npy file."""
    stream = io.BytesIO()
    npy.write_array(stream, np.asarray(values), allow_pickle=False)
    return stream.getvalue()


def from_npy(raw: bytes) -> Array:
    """An array from the bytes of an .npy file; ValueError if it would have to be unpickled."""
    return np.asarray(npy.read_array(io.BytesIO(raw), allow_pickle=False))


@functools.lru_cache(maxsize=4096)
def _header_bytes(descr: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def encode(cutout: NDArray[np.float32], meta: Mapping[str, Array], compress: bool = False) -> list[bytes | memoryview]:
    """The bytes of one file, as pieces to write in order.

    Parameters
    ----------
    cutout : (H, W, B) float32
    meta : mapping of `meta_*` to arrays
        Scalars as 0-d arrays.
    compress : bool
        Deflate the members, as `np.savez_compressed` does.

    Raises ValueError for arrays of Python objects, or of a dtype with fields.
    """
    pieces: list[bytes | memoryview] = []
    directory: list[bytes] = []
    offset = 0
    for key, values in {CUTOUT: cutout, **meta}.items():
        if values.dtype.hasobject or values.dtype.names:
            raise ValueError(f"'{key}' holds {values.dtype}, which no .npz of ours keeps")
        name = f"{key}.npy".encode()
        header = _header_bytes(values.dtype.str, values.shape)
        plain = np.ascontiguousarray(values)
        body = plain.reshape(-1).view(np.uint8).data if plain.nbytes else memoryview(b"")
        check = zlib.crc32(body, zlib.crc32(header))
        length = len(header) + len(body)
        content: list[bytes | memoryview] = [header, body]
        if compress:
            deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15)
            content = [deflate.compress(header), deflate.compress(body), deflate.flush()]
        packed = sum(map(len, content))
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        core = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, DOS_1980, check, packed, length, len(name), 0)
        pieces += [b"PK\x03\x04" + core + name, *content]
        unix, readable = 3, 0o600 << 16
        entry = struct.pack("<BB", 20, unix) + core + struct.pack("<HHHII", 0, 0, 0, readable, offset)
        directory.append(b"PK\x01\x02" + entry + name)
        offset += 30 + len(name) + packed
    entries = b"".join(directory)
    end = struct.pack("<HHHHIIH", 0, 0, len(directory), len(directory), len(entries), offset, 0)
    return [*pieces, entries, b"PK\x05\x06" + end]


def write_npz(
    path: str | Path,
    cutout: NDArray[np.float32],
    meta: Mapping[str, Array],
    compress: bool = False,
    *,
    keep: bool = False,
) -> None:
    """Write one file atomically, replacing an existing one; with `keep`, only if its length differs."""
    pieces = encode(cutout, meta, compress)
    if keep and os.path.exists(path) and os.path.getsize(path) == sum(map(len, pieces)):
        return
    replace_file(path, pieces, flush=False)
