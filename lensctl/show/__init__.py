"""What any file is: recognised, described in figures and tables, and drawn."""
