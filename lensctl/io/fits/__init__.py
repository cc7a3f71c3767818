"""FITS: headers, tile-compressed images, tables."""
