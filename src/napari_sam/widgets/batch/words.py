"""What the widget says: plain sentences made from what is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from napari_sam.widgets.auto_annotate.words import duration, place, planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.live.batch.state import State
    from napari_sam.records.status import Item, Status
    from napari_sam.records.trial import Tried

FORMATS: Final = {
    "tiff": (
        "Label images (TIFF)",
        "One for each image, with axes and pixel size: always written.",
    ),
    "omezarr": ("OME-Zarr", "Labels with a pyramid, for viewers on the web."),
    "coco": ("COCO", "Masks as run-lengths: detectron2, mmdetection, CVAT."),
    "coco-polygons": ("COCO, polygons", "For programs that read no run-lengths."),
    "yolo-seg": ("YOLO outlines", "A data set to train YOLO segmenters with."),
    "yolo-detect": ("YOLO boxes", "A data set to train YOLO detectors with."),
    "yolo": ("YOLO rows", "What ultralytics' auto_annotate writes."),
    "cellpose": ("Cellpose", "Images and masks to train Cellpose with."),
    "stardist": ("StarDist", "Images and masks to train StarDist with."),
    "sa1b": ("SA-1B", "Records to train SAM with."),
    "geojson": ("QuPath (GeoJSON)", "Detections for QuPath."),
    "roi": ("ImageJ ROIs", "For the ROI Manager of Fiji and ImageJ."),
    "ctc": ("Cell tracking", "As the Cell Tracking Challenge has it; needs tracks."),
    "parquet": ("Parquet", "The table of all objects, with types."),
}
REPLACE: Final = "Replace results that are there"
OUTPUT: Final = "Results in"
CONTRASTS: Final = {
    "stack": "Same in each slice",
    "plane": "Each slice by itself",
}
AXES_TIP: Final = (
    "What the axes of the files are, a letter each: ZYX, TCYX. Leave it empty where "
    "the files say it."
)
CHANNELS_TIP: Final = (
    "Which channels models see, up to three, by number from 0 or by name: 0,2. Leave "
    "it empty to take the first one."
)
DIAMETER_TIP: Final = (
    "How wide a typical object is, in pixels, or as 8um where the files say how large "
    "a pixel is. Leave it empty if the sizes differ much."
)
NO_IMAGES: Final = "Choose a folder with images."
NO_LAYERS: Final = "Open images in the viewer first."
NO_OUTPUT: Final = "Choose a folder for the results."

# The screen's words for what the command line says.
_SCREEN: Final = (
    (
        r"annotate them with two commands and two --output folders",
        "do them one by one, into two folders",
    ),
    (r"add --overwrite", f"tick “{REPLACE}”"),
    (r"leave out --overwrite", f"leave “{REPLACE}” empty"),
    (r"choose another folder with --output", f"choose another folder at “{OUTPUT}”"),
    (r"another (folder|file) with --output", r"another \1"),
    (r"--overwrite", f"“{REPLACE}”"),
    (r"--output", f"“{OUTPUT}”"),
    (r"--format", "“Files to write”"),
    (r"--([a-z]+)(-[a-z]+)*", r"“\1”"),
)
_STATES: Final = {
    "waiting": "waiting",
    "working": "working",
    "unfinished": "begun",
    "failed": "failed",
}


def on_screen(error: str) -> str:
    """Return a message of the command line as the widget says it."""
    for said, shown in _SCREEN:
        error = re.sub(said, shown, error)
    return error[:1].upper() + error[1:]


def images(count: int) -> str:
    """Count images."""
    return f"{count:,} image{'s' * (count != 1)}"


def objects(count: int) -> str:
    """Count objects."""
    return f"{count:,} object{'s' * (count != 1)}"


def plan(
    count: int,
    detector: str,
    model: str,
    link: str,
    formats: Sequence[str],
    output: str,
) -> str:
    """Say what "Start" will do.

    Parameters
    ----------
    count : int
        Of images.
    detector, model, link : str
        As they are called on the screen; no link: "".
    formats : sequence of str
        Of `FORMATS`.
    output : str
    """
    named = [FORMATS[name][0].replace("Label", "label") for name in formats]
    keeps = f" Objects keep their number {link}." if link else ""
    return (
        f"Looks for “{detector}” in {images(count)} and outlines with “{model}”."
        f"{keeps} Writes {', '.join(named)} and a table of all objects into {output}."
    )


def there(status: Status) -> str:
    """Say what results there are already."""
    done, all_of = status.images.get("done", 0), sum(status.images.values())
    failed = status.images.get("failed", 0)
    also = f", {failed:,} failed" if failed else ""
    return f"There are results already: {done:,} of {images(all_of)} done{also}."


def other_settings() -> str:
    """Say that results that are there were made in another way."""
    return (
        "The results there were made with other settings: take another folder, or tick "
        f"“{REPLACE}”."
    )


def line(item: Item) -> str:
    """Say how far an image is."""
    if item.state == "done":
        known = item.planes is not None and item.planes > 1
        many = f" on {planes(item.planes or 0, '')}" if known else ""
        return f"{objects(item.objects or 0)}{many}"
    if item.state == "failed":
        return f"⚠ {on_screen(item.error.removeprefix(f'{item.path}: '))}"
    if item.planes and item.state in ("working", "unfinished"):
        how = _STATES[item.state]
        return f"{how}: {item.finished:,} of {planes(item.planes, '')}"
    return _STATES[item.state]


def progress(state: State) -> str:
    """Say how far it is."""
    if state.phase == "stopping":
        return "Finishing what is in hand…"
    if state.phase == "trying":
        return "Trying…"
    if state.phase == "reporting":
        return "Writing the report…"
    status = state.results.status
    if status is None or not status.running:
        return "Starting…"
    over = status.images.get("done", 0) + status.images.get("failed", 0)
    text = f"{over:,} of {images(sum(status.images.values()))}"
    if status.seconds_left is not None and status.seconds_left >= 1:
        text += f", about {duration(status.seconds_left)} left"
    elsewhere = "Running in another program: " if state.elsewhere else ""
    return elsewhere + text


def share(state: State) -> float | None:
    """Return how much is done, from 0 to 1; None where nobody knows."""
    status = state.results.status
    if state.phase in ("trying", "reporting") or status is None or not status.running:
        return None
    parts = [
        1.0 if item.state in ("done", "failed") else item.finished / (item.planes or 1)
        for item in state.results.items
    ]
    return sum(parts) / len(parts) if parts else None


def outcome(state: State) -> str:
    """Say how the last thing ended."""
    status = state.results.status
    if not state.ended or status is None:
        return ""
    done, failed = (status.images.get(name, 0) for name in ("done", "failed"))
    text = f"{images(done)} done, {objects(status.objects)}"
    if failed:
        text += f"; {failed:,} failed, with the reason in the list"
    if state.ended == "paused":
        return f"Paused: {text}. “Go on” continues where it was, also another day."
    return f"{text}."


def tried(one: Tried) -> str:
    """Say what was found on a slice that was tried."""
    where = f", {place(one.index, one.stack_axes)}" if one.index else ""
    part = ", a part of it" if one.share < 1 else ""
    return f"{one.image}{where}{part}: {objects(one.objects)}"


def estimate(tried: Sequence[Tried], count: int) -> str:
    """Say about how long all images will take, by the slices that were tried."""
    if not tried:
        return ""
    each = sum(one.seconds / one.share for one in tried) / len(tried)
    slices = sum(one.planes for one in tried) / len(tried) * count
    long = duration(each * slices)
    return f"All {images(count)} will take {'about ' * long[0].isdigit()}{long}."
