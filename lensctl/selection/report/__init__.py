"""The report of a selection function: maps, pictures of injections, the page."""
