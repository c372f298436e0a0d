"""The dock widget that finds all objects of an image layer.

`session` and what it uses know neither Qt nor napari, so that they can be tested
without a window; `layers` knows napari, and `form` and `panel` know Qt as well.
"""
