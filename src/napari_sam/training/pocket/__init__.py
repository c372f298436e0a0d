"""Training of the built-in model; `docs/models.md` says what was run."""
