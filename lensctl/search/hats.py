"""Rows by pixel of the sky, in the folders of a HATS catalogue, and what makes one of them.

The format is that of the IVOA note on HATS (hats.readthedocs.io): parquet files Norder=K/Dir=D/Npix=N.parquet below
`dataset/`, in each the rows of one HEALPix pixel (nested), sorted by `_healpix_29`; their columns and footers; the list
of pixels; and properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.io.tables.files import write_table
from lensctl.search.rows import PARTITION_ORDER, PIXEL

if TYPE_CHECKING:
    import pyarrow as pa

PIXELS_A_FOLDER = 10_000


def file_of(folder: Path, pixel: int) -> Path:
    """The file of one pixel's rows."""
    of = pixel // PIXELS_A_FOLDER * PIXELS_A_FOLDER
    return folder / "dataset" / f"Norder={PARTITION_ORDER}" / f"Dir={of}" / f"Npix={pixel}.parquet"


def write_pixel(folder: Path, pixel: int, rows: pa.Table) -> None:
    """Write the rows of one pixel, sorted by `_healpix_29`."""
    file = file_of(folder, pixel)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(rows, str(file))


def write_catalogue(folder: Path, rows: Mapping[int, int], columns: pa.Schema, name: str) -> None:
    """Make a HATS catalogue of a folder with the files of all pixels.

    Parameters
    ----------
    rows : mapping
        Number of rows by pixel, in order.
    columns : pa.Schema
        Of the rows.
    name : str
        Of the catalogue.
    """
    import pyarrow.parquet as pq

    plain, dataset = columns.remove_metadata(), folder / "dataset"
    footers = []
    for pixel in rows:
        file = file_of(folder, pixel)
        footers.append(pq.read_metadata(file))
        footers[-1].set_file_path(file.relative_to(dataset).as_posix())
    pq.write_metadata(plain, dataset / "_common_metadata")
    pq.write_metadata(columns, dataset / "_metadata", metadata_collector=footers)
    facts = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": sum(rows.values()),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": PIXEL,
        "hats_col_healpix_order": 29,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": max(rows.values()),
        "hats_order": PARTITION_ORDER,
        "moc_sky_fraction": f"{len(rows) / (12 * 4**PARTITION_ORDER):.6f}",
        "hats_version": "v0.1",
    }
    files = {
        "hats.properties": [f"{key}={value}" for key, value in facts.items()],
        "partition_info.csv": ["Norder,Npix", *(f"{PARTITION_ORDER},{pixel}" for pixel in rows)],
    }
    for file_name, lines in files.items():
        (folder / file_name).write_text("\n".join(lines) + "\n", encoding="utf-8")
