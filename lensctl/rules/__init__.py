"""What things are called and decided by: columns, strata, split, sampling order, quality, checks, errors."""
