"""A manifest's paths are relative to its folder, or to a root that a manifest on stdin must be given."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.rules.errors import InputError
from tests.toys.judging import CUTOUTS, NOISE, failed, judge
from tests.toys.manifests import with_store


def test_pixels_of_a_manifest_on_stdin_need_a_root(tmp_path, monkeypatch):
    import io
    import types

    path = with_store(tmp_path, CUTOUTS, NOISE)
    stream = io.BytesIO()
    table = pq.read_table(path)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    for root in (None, tmp_path):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(stream.getvalue())))
        if root is None:
            with pytest.raises(InputError, match="no folder to resolve cutout_path"):
                judge("pixels", "-", root=root)
        else:
            assert failed(judge("pixels", "-", root=root)) == []
