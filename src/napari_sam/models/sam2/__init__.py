"""SAM 2 and 2.1: images, with the decoder that SAM 1 has too."""
