"""What a detector is asked for; no torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """Which of the objects that a detector sees are wanted.

    Attributes
    ----------
    conf : float
        Least score.
    iou : float
        Of two boxes of a class that overlap more, the weaker one is dropped.
    imgsz : int, optional
        A network looks at a plane whose longer side was resized to this many
        pixels; None: as its file says. The detectors built in look at the plane
        as it is.
    max_det : int
        Most objects on a plane.
    classes : tuple of int, optional
        Only these; they keep their numbers.
    words : tuple of str
        What is looked for, where the detector understands words.
    """

    conf: float = 0.25
    iou: float = 0.45
    imgsz: int | None = None
    max_det: int = 300
    classes: tuple[int, ...] | None = None
    words: tuple[str, ...] = ()


DEFAULTS = DetectorOptions()
