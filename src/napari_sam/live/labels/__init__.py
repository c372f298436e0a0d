"""Committed objects: their pixels, what is known about them, edits and undo."""
