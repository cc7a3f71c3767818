"""The frozen model: its files, integrity, lineage, signature, gate results and model card."""
