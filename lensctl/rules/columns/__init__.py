"""Columns of tables, declared once: name, type, unit, meaning."""
