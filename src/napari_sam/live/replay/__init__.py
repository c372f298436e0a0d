"""What was done by hand is written down, and done again without a window."""
