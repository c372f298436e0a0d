"""Which layer holds the objects, and that none of them is lost."""
