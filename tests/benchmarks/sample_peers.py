"""Plain ways to draw the same rows: `python -m tests.benchmarks.sample_peers NAME POOL POSITIVES OUTPUT`."""

from __future__ import annotations

import sys


def duckdb_window(pool: str, positives: str, output: str) -> None:
    """Rank every row in its stratum, and keep the first."""
    import duckdb

    duckdb.execute("SET preserve_insertion_order = false")
    duckdb.execute(f"""
        COPY (
            WITH wanted AS (
                SELECT nobs_z_bin, type, count(*) * 100 AS target, floor(count(*) * 15 + 0.5) AS n2
                FROM '{positives}' GROUP BY ALL),
            ranked AS (
                SELECT *, row_number() OVER (
                    PARTITION BY nobs_z_bin, type, pool ORDER BY md5('42:' || galaxy_id), galaxy_id) AS place
                FROM '{pool}/*.parquet')
            SELECT ranked.* EXCLUDE (place) FROM ranked JOIN wanted USING (nobs_z_bin, type)
            WHERE place <= CASE WHEN pool = 'N2' THEN n2 ELSE target - n2 END ORDER BY galaxy_id
        ) TO '{output}' (FORMAT parquet, COMPRESSION zstd)""")


def spark_window(pool: str, positives: str, output: str) -> None:
    """The same in PySpark, as the plan's origin did it."""
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as F

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "8g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .getOrCreate()
    )
    target = F.col("count") * 100
    n2 = F.floor(target * 0.15 + 0.5)
    wanted = spark.read.parquet(positives).groupBy("nobs_z_bin", "type").count()
    key = F.md5(F.concat(F.lit("42:"), "galaxy_id"))
    within = Window.partitionBy("nobs_z_bin", "type", "pool").orderBy(key, "galaxy_id")
    ranked = spark.read.parquet(pool).withColumn("place", F.row_number().over(within))
    joined = ranked.join(F.broadcast(wanted), ["nobs_z_bin", "type"])
    chosen = joined.where(F.col("place") <= F.when(F.col("pool") == "N2", n2).otherwise(target - n2))
    chosen.drop("place", "count").orderBy("galaxy_id").write.mode("overwrite").parquet(output)


if __name__ == "__main__":
    {"duckdb": duckdb_window, "spark": spark_window}[sys.argv[1]](*sys.argv[2:])
