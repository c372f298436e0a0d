"""The layers of the viewer: prompts, suggestions, objects."""
