"""From what a person draws to suggestions, and from suggestions to objects."""
