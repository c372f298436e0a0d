"""What the dock "Batch" does beside the viewer: a process, and what it has done."""
