"""A mock survey with known lenses, laid out like the Legacy Surveys data server."""
