"""Pages for people: self-contained HTML with pictures, tables to sort and galaxies to grade."""
