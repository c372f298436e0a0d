"""µSAM's own automatic segmentation: a decoder beside SAM's, and a watershed."""
