"""Segmenters with random weights as for the YOLOs."""

from tests.models.yolo.conftest import make_pt, photo

__all__ = ["make_pt", "photo"]
