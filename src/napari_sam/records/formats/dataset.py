"""Data sets of ultralytics: images, labels, `data.yaml`, and who is held back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import yaml

from napari_sam.records.files import atomic_file, write_text
from napari_sam.records.formats.training import TrainingFolder
from napari_sam.records.yolo import yolo_rows

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.records.formats.base import Page, Shared, Sink, Target
    from napari_sam.types import IntBox

_DATA: Final = "data.yaml"
_LISTS: Final = ("train.txt", "val.txt")


class YoloSeg(TrainingFolder):
    """Outlines, one row for each object.

    Which images are held back is said in two lists, so that a further input moves no
    file. All planes of an input are on the same list: neighbours look alike.
    """

    name = "yolo-seg"
    kinds = (("images", ".png"), ("labels", ".txt"))

    def shared(self, folder: Path) -> tuple[Path, ...]:
        """Return the files about all inputs."""
        return (folder / _DATA, *(folder / name for name in _LISTS))

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write planes, and a list of the images of this input."""
        listed = files.enter_context(atomic_file(target.fragment, durable=False))
        return self.writer(
            target, lambda name: listed.write(f"./images/{name}.png\n".encode())
        )

    def write(self, target: Target, name: str, page: Page, box: IntBox) -> None:
        """Write an image in eight bits and its rows."""
        from PIL import Image

        picture = target.picture(page.index, box)
        with atomic_file(target.folder / "images" / f"{name}.png", durable=False) as f:
            Image.fromarray(picture).save(f, "PNG")
        text = "".join(f"{row}\n" for row in self.rows(page))
        write_text(target.folder / "labels" / f"{name}.txt", text, durable=False)

    def rows(self, page: Page) -> Iterator[str]:
        """Yield a row for each object."""
        return yolo_rows(page.labels, page.values.tolist(), page.objects)

    def join(self, shared: Shared) -> None:
        """Draw who is held back, and write the lists and the names of the classes."""
        paths = self.shared(shared.folder)
        held_back = _draw(shared)
        for path, chosen in zip(paths[1:], held_back, strict=True):
            text = "".join(fragment.read_text("utf-8") for fragment in chosen)
            write_text(path, text)
        about = {"train": _LISTS[0], "val": _LISTS[1]}
        names = {"names": dict(enumerate(shared.class_names))}
        text = yaml.safe_dump({**about, **names}, allow_unicode=True, sort_keys=False)
        write_text(paths[0], text)


def _draw(shared: Shared) -> tuple[Sequence[Path], Sequence[Path]]:
    """Return the inputs to train with and those held back."""
    # Inputs of which nothing is complete have no images, and are no use on a list.
    usable = [one for one in shared.fragments if one.stat().st_size]
    part = shared.options.validation
    if len(usable) < 2 or not part:
        # Ultralytics wants both lists; with one input nothing can be held back.
        return usable, usable
    count = min(max(round(len(usable) * part), 1), len(usable) - 1)
    drawn = set(random.Random(shared.options.seed).sample(range(len(usable)), count))
    train = [one for number, one in enumerate(usable) if number not in drawn]
    return train, [usable[number] for number in sorted(drawn)]


class YoloDetect(YoloSeg):
    """Boxes."""

    name = "yolo-detect"

    def rows(self, page: Page) -> Iterator[str]:
        """Yield `class x y width height`, from 0 to 1."""
        height, width = page.labels.shape
        for row in range(len(page)):
            y0, x0, y1, x1 = page.box(row)
            numbers = (
                (x0 + x1) / 2 / width,
                (y0 + y1) / 2 / height,
                (x1 - x0) / width,
                (y1 - y0) / height,
            )
            text = " ".join(f"{number:.8f}" for number in numbers)
            yield f"{int(page.objects['class_id'][row])} {text}"
