"""Atomic outputs, resumable jobs, and S3."""
