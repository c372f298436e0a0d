"""The dock widget "Segment": clicks, boxes and outlines become objects at once."""
