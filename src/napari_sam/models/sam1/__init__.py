"""Segment Anything (2023) and what has its shape: SAM b/l/h, MobileSAM, µSAM."""
