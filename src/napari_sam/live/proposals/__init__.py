"""All objects of a slice at once."""
