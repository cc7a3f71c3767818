"""A mock survey with known lenses, laid out like the Legacy Survey's data server."""
