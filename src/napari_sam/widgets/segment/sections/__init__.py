"""Parts of the panel, each with its own controls."""
