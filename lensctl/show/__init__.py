"""Recognises any file, describes it in values and tables, and draws its cutouts."""
