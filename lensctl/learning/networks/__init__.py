"""Networks, their weights on disk and what they compute."""
