"""The built-in model: small, convolutional, shipped with the package."""
