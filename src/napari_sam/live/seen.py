"""How an image is shown to models, as a person has chosen it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError

from napari_sam.images.normalization import PERCENTILES

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "seen"  # among the state that is saved with objects
STACK: Final = "stack"
PLANE: Final = "plane"
SHOWN: Final = "shown"
FIXED: Final = "fixed"


class Seen(BaseModel):
    """What was chosen; it is kept with the objects.

    Attributes
    ----------
    contrast : {"stack", "plane", "shown", "fixed"}
        The same for every slice, each slice by itself, as shown in napari, or as
        somebody has said it.
    percentiles : (low, high)
        In percent: which intensities become dark and bright, where these are measured.
    ranges : tuple of (low, high)
        What is dark and bright, for each channel, where it is not measured.
    channels : tuple of str
        The names of the images that are seen together with this one.
    diameter : float, optional
        Of a typical object, in pixels.
    """

    # Files of a later version may say more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    contrast: Literal["stack", "plane", "shown", "fixed"] = STACK
    percentiles: tuple[float, float] = PERCENTILES
    ranges: tuple[tuple[float, float], ...] = ()
    channels: tuple[str, ...] = ()
    diameter: PositiveFloat | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Seen | None:
        """Return what was kept; None where there is nothing that can be read."""
        try:
            return cls.model_validate(state[KEY])
        except (KeyError, ValidationError):
            return None

    def state(self) -> dict[str, Any]:
        """Return plain values, from which `of` makes it again."""
        return {KEY: self.model_dump(mode="json")}

    def options(self, image: str) -> dict[str, Any]:
        """Return what a recipe says of it.

        Parameters
        ----------
        image : str
            The name of the image, which is the first channel.
        """
        return {
            "normalization": PLANE if self.contrast == PLANE else STACK,
            "percentiles": self.percentiles,
            "ranges": self.ranges or None,
            "channels": (image, *self.channels) if self.channels else None,
            "diameter": self.diameter,
        }
