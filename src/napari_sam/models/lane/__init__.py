"""The lane: the one thread on which the models of a device run.

Whoever wants a model to run (a widget; another viewer's widget) joins the lane
of its device with `acquire` and hands in work with a priority. Long work calls
`checkpoint` between its pieces: there a click that waits is answered first, and
work that nobody wants any more ends. No torch and no Qt are needed to import
this module; the lane's own thread imports torch, off the viewer's thread.
"""

from napari_sam.models.lane.handle import LaneHandle, acquire
from napari_sam.models.lane.own import OwnLane
from napari_sam.models.lane.request import Cancelled, Ending, Post, Priority, Request
from napari_sam.models.lane.thread import checkpoint, report, wait

__all__ = [
    "Cancelled",
    "Ending",
    "LaneHandle",
    "OwnLane",
    "Post",
    "Priority",
    "Request",
    "acquire",
    "checkpoint",
    "report",
    "wait",
]
