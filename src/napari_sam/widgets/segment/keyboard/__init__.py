"""Keys of our layers, also those that Qt would keep for itself."""
