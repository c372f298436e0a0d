"""What should be looked at, and what is complete."""
