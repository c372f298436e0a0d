"""The dock widget "Batch"."""
