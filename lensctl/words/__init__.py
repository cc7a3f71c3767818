"""What things are called and what the rules are: columns, strata, splits, errors. No input, no output."""
