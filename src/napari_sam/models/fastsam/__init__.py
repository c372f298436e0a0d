"""FastSAM: everything on a plane is outlined once, and prompts choose among it."""
