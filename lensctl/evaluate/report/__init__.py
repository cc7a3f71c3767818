"""The report for people: plots, pictures, galleries, HTML."""
