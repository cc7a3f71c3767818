"""The evaluation report: plots, pictures, galleries, HTML."""
