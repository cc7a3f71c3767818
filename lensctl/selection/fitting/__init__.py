"""Measuring a selection function: from scored injections to a folder."""
