"""The room that knows napari and Qt: samples and what the viewer shows."""
