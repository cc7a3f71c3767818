"""Tables in parquet, Arrow, CSV, ndjson and FITS; SQL over them; sweeps and lens catalogues."""
