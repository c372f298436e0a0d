"""Words for detectors that understand them: what may be asked, and what reads it."""
