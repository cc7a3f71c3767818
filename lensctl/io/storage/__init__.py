"""Outputs that are whole or absent, long jobs that go on where they were, S3."""
