"""The report of a search: funnel, area, known lenses, candidates to grade, a map of the sky."""
