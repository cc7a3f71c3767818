"""Cutouts of a catalogue by astrocut, one galaxy after another in each process, into Zarr; prints how many a second."""

import csv
import json
import multiprocessing
import sys
import time

import numpy as np

SIZE = 101


def cut(row: dict) -> np.ndarray:
    """One cutout, (101, 101, 3) float32."""
    from astrocut import FITSCutout
    from astropy.coordinates import SkyCoord

    place = SkyCoord(float(row["RA"]), float(row["Dec"]), unit="deg")
    found = FITSCutout(json.loads(row["fits_file_paths"]), place, SIZE, extension=1, single_outfile=False)
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    for band, hdus in enumerate(found.fits_cutouts):
        pixels = hdus[1].data[:SIZE, :SIZE]  # it is one more or less where rounding is even
        image[: len(pixels), : pixels.shape[1], band] = pixels
    return image


if __name__ == "__main__":
    import zarr

    catalogue, folder, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(catalogue) as file:
        rows = list(csv.DictReader(file))
    shape = (len(rows), SIZE, SIZE, 3)
    store = zarr.create_array(f"{folder}/astrocut.zarr", shape=shape, chunks=(64, *shape[1:]), dtype="float32")
    started = time.perf_counter()
    with multiprocessing.Pool(workers) as pool:
        images = list(pool.imap(cut, rows, chunksize=8))
    store[:] = np.stack(images)
    print(json.dumps({"per_second": len(rows) / (time.perf_counter() - started)}))
