"""What every promptable model and every detector answers to; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.images import ImageStack, Normalization, Plane
    from napari_sam.types import Candidates, Detections, Embedding, IntBox, Mask, Prompt

    Embed = Callable[[int], Embedding]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model this is, for provenance and for people.

    Attributes
    ----------
    name : str
        Catalog name, or the checkpoint's file name.
    version : str
        Version of the weights.
    sha256 : str
        Hash of the weights file.
    device : str
        Where it runs, for example "cpu" or "cuda:0".
    """

    name: str
    version: str
    sha256: str
    device: str


@runtime_checkable
class PromptableModel(Protocol):
    """Turns prompts on an encoded plane into candidate masks."""

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""

    def encode(
        self,
        image: npt.NDArray[Any] | Plane,
        normalization: Normalization | None = None,
    ) -> Embedding:
        """Encode one plane: (H, W), (H, W, C<=4) of any real dtype, or a `Plane`."""

    def encode_batch(self, images: Sequence[Plane]) -> list[Embedding]:
        """Encode several planes, in their order."""

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool | None = None,
    ) -> list[Candidates]:
        """Answer every prompt, in order, none dropped.

        `multimask` None lets the model decide: several candidates where the
        prompt is ambiguous (a single click), one otherwise.
        A prompt with `previous` starts from that answer.
        """


@runtime_checkable
class SoftModel(PromptableModel, Protocol):
    """A model that knows more of a mask than which pixels are in it."""

    def probability(self, mask: Mask, shape: tuple[int, int], box: IntBox) -> Any:
        """Return how likely each pixel is the object's.

        Parameters
        ----------
        mask : Mask
            An answer of this model, on a plane of this shape.
        shape : (H, W)
        box : (y0, x0, y1, x1)
            The part of the plane that is wanted.

        Returns
        -------
        float32 array, shape (y1 - y0, x1 - x0), or None
            None where the mask remembers nothing of this.
        """


class Follower(Protocol):
    """Follows objects from plane to plane, and is put right where it goes wrong.

    What has been seen is kept: a run that was interrupted, or that somebody corrects,
    goes on from there.
    """

    def prompt(self, number: int, plane: int, prompt: Prompt) -> Mask:
        """Say where an object is on a plane; return how that was understood.

        Everything that is said about it on this plane, each time. A mask and nothing
        else is taken as it is.
        """

    def run(
        self, planes: range, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Yield planes, one after the other or back, and the objects on them.

        All objects or some. One that is not on a plane has an empty mask there.
        """


@runtime_checkable
class StackModel(PromptableModel, Protocol):
    """A model that remembers objects from plane to plane."""

    def follow(self, embed: Embed, count: int) -> Follower:
        """Begin with a stack of `count` planes; `embed` gives embeddings of them."""


@runtime_checkable
class Detector(Protocol):
    """Finds objects on planes."""

    @property
    def info(self) -> ModelInfo:
        """Which detector this is."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `Detections.classes`."""

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane, in their order."""


@runtime_checkable
class EmbeddingDetector(Detector, Protocol):
    """A detector that can read a promptable model's embedding (encode once)."""

    def reads(self, model: PromptableModel) -> bool:
        """Whether this detector can read the embeddings of `model`."""

    def detect_embedded(self, embeddings: Sequence[Embedding]) -> list[Detections]:
        """Find objects on planes that `model` has encoded already."""


@runtime_checkable
class PlaneDetector(Detector, Protocol):
    """A detector that must have seen a plane to judge about parts of it."""

    def for_plane(self, plane: Plane) -> Detector:
        """Return the detector for the tiles of one large plane."""


@runtime_checkable
class WholeDetector(Detector, Protocol):
    """A detector that knows the objects of planes without looking at pixels.

    It is asked about whole planes only, never about tiles of one.
    """

    @property
    def knows_planes(self) -> bool:
        """Always true."""


@runtime_checkable
class InputDetector(Detector, Protocol):
    """A detector whose objects belong to certain images, such as a user's files."""

    def for_input(self, relative: str, stack: ImageStack) -> Detector:
        """Return the detector for one input, before its planes are asked for.

        `relative` is the input's relative path without suffix, "/" between folders.
        """


def detector_for(detector: Detector, relative: str, stack: ImageStack) -> Detector:
    """Return the detector to ask about one input: itself, or what it has for it.

    Parameters
    ----------
    detector : Detector
    relative : str
        The input's relative path without suffix, "/" between folders.
    stack : ImageStack
        The opened input.

    Raises
    ------
    ModelError, ImageError
        If the detector has nothing that fits this input.
    """
    if isinstance(detector, InputDetector):
        return detector.for_input(relative, stack)
    return detector
