"""A pool as large as the survey's: the columns of SCIENCE's pool, the plan's proportions; and its positives."""

from __future__ import annotations

from pathlib import Path

ROWS_A_FILE = 1_000_000
POSITIVES = 4_788


def _uniform(number: int) -> str:
    """A number in [0, 1) for each row, by DuckDB."""
    return f"(hash(i * 64 + {number}) / 18446744073709551616.0)"


def _per_band(first: int, name: str, low: float, high: float, bands: str = "grz") -> str:
    return ", ".join(
        f"({low} + {high - low} * {_uniform(first + k)})::FLOAT AS {name}_{b}" for k, b in enumerate(bands)
    )


def make(folder: Path, rows: int) -> Path:
    """A folder of parquet files with a pool of so many rows; one that is there is kept."""
    import duckdb

    if (folder / "_made").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    files = max(1, round(rows / ROWS_A_FILE))
    with duckdb.connect() as database:
        for n in range(files):
            first, last = rows * n // files, rows * (n + 1) // files
            database.execute(
                f"COPY ({_rows_sql(first, last, n)}) TO '{folder}/part-{n:03d}.parquet'"
                " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)"
            )
    (folder / "_made").touch()
    return folder


def _rows_sql(first: int, last: int, file: int) -> str:
    return f"""
    WITH drawn AS (
        SELECT i, {_uniform(1)} AS depth, {_uniform(2)} AS kind, {_uniform(3)} AS a, {_uniform(4)} AS b,
               {_uniform(5)} AS confuser, i // 2500 AS brick
        FROM range({first}, {last}) AS t(i)),
    named AS (
        SELECT *,
            CASE WHEN depth < 0.69 THEN 3 + (depth * 100)::INT % 3
                 WHEN depth < 0.94 THEN 6 + (depth * 1000)::INT % 5 ELSE 11 END AS nobs,
            CASE WHEN kind < 0.45 THEN 'SER' WHEN kind < 0.75 THEN 'REX' ELSE 'DEV' END AS type,
            printf('%04d%s%03d', (brick * 7) % 3600, CASE WHEN brick % 2 = 0 THEN 'p' ELSE 'm' END,
                   (brick // 3600) % 900) AS brickname
        FROM drawn)
    SELECT brickname || '_' || (i % 2500) AS galaxy_id, brickname, (i % 2500)::INTEGER AS objid,
        a * 360 AS ra, degrees(asin(2 * b - 1)) / 2 AS dec, type,
        nobs::SMALLINT AS nobs_g, nobs::SMALLINT AS nobs_r, nobs::SMALLINT AS nobs_z,
        CASE WHEN nobs < 6 THEN '3-5' WHEN nobs < 11 THEN '6-10' ELSE '11+' END AS nobs_z_bin, type AS type_bin,
        {_per_band(10, "flux", 0, 50)}, (50 * {_uniform(13)})::FLOAT AS flux_w1, {_per_band(20, "mag", 18, 22)},
        (2 * {_uniform(23)})::FLOAT AS g_minus_r, (2 * {_uniform(24)})::FLOAT AS r_minus_z,
        (2 * {_uniform(25)})::FLOAT AS z_minus_w1, {_per_band(26, "psfsize", 1, 2)},
        {_per_band(29, "psfdepth", 100, 1000)}, {_per_band(32, "galdepth", 100, 900)},
        (0.1 * {_uniform(35)})::FLOAT AS ebv, 0::INTEGER AS maskbits, (confuser * 8)::SMALLINT AS fitbits,
        {_per_band(36, "mw_transmission", 0.8, 1)}, (3 * {_uniform(39)})::FLOAT AS shape_r,
        ({_uniform(40)} - 0.5)::FLOAT AS shape_e1, ({_uniform(41)} - 0.5)::FLOAT AS shape_e2,
        (6 * {_uniform(42)})::FLOAT AS sersic, (brick % 49152)::BIGINT AS healpix_64,
        (brick % 196608)::BIGINT AS healpix_128,
        CASE WHEN {_uniform(43)} < 0.70 THEN 'train' WHEN {_uniform(43)} < 0.85 THEN 'val' ELSE 'test' END AS split,
        CASE WHEN confuser < 0.754 THEN 'N1' ELSE 'N2' END AS pool,
        CASE WHEN confuser < 0.754 THEN NULL WHEN confuser < 0.877 THEN 'edge_on_proxy'
             WHEN confuser < 0.987 THEN 'ring_proxy' WHEN confuser < 0.994 THEN 'blue_clumpy'
             ELSE 'large_galaxy' END AS confuser_category,
        'sweep-{file:03d}.fits' AS sweep_file, i AS row_index, '1.0.0' AS pipeline_version,
        'abcdef0' AS git_commit, TIMESTAMP '2026-01-01' AS extraction_timestamp
    FROM named"""


def positives(path: Path) -> Path:
    """As many positives as the plan has, in its strata, where the pool has no sky."""
    import duckdb

    duckdb.sql(f"""
        SELECT 'lens_' || i AS galaxy_id, (10 + i * 0.0613)::DOUBLE AS ra, (50 + i % 1000 * 0.01)::DOUBLE AS dec,
            CASE WHEN i % 100 < 69 THEN '3-5' WHEN i % 100 < 94 THEN '6-10' ELSE '11+' END AS nobs_z_bin,
            CASE WHEN i * 7 % 20 < 9 THEN 'SER' WHEN i * 7 % 20 < 15 THEN 'REX' ELSE 'DEV' END AS type
        FROM range({POSITIVES}) AS t(i)""").write_parquet(str(path))
    return path
