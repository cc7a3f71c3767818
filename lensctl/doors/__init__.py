"""Where values come in and go out: tables, SQL, cutout stores, FITS, S3, HTTP, provenance."""
