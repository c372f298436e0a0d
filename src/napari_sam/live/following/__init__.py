"""Objects followed from the slice on screen through the stack."""
