"""What determines a training of the pocket model, beside the data.

A run is described by a YAML file with the fields of `Config`; what is left out has
its default, or with `base: FILE` what that file beside it says. The whole configuration
is copied into the run's folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from pathlib import Path

Chance = Annotated[float, Field(ge=0, le=1)]
CLICKS = 4  # at most, in the first round


class PromptMix(BaseModel):
    """How often the first round of a training asks in which way; clicks are the rest.

    Attributes
    ----------
    box : float
        A box with its sides moved.
    found : float
        The box that the dense head reads at the object's middle, given as a
        detector gives it.
    mask : float
        A wrong mask of the object, and nothing else.
    loose : float
        The part of the boxes that are wider than their object, or tighter.
    spread : float
        How far the sides of the other boxes are moved, as a part of their length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: Chance = 0.32
    found: Chance = 0.14
    mask: Chance = 0.08
    loose: Chance = 0.25
    spread: Annotated[float, Field(ge=0, le=0.5)] = 0.12


class Config(BaseModel):
    """Everything that determines a training.

    Attributes
    ----------
    steps : int
        After how many the learning rate is at its lowest.
    minutes : float, optional
        The same by the clock, from the start of the run; then `steps` is only a
        limit, and the run cannot be repeated exactly.
    start : str
        "imagenet", "shipped", or the path of an exported file.
    crops, objects : int
        Of a step, and prompts in each crop.
    corrections : tuple of float
        How often 0, 1, 2, ... rounds of correcting clicks follow, relatively.
    freeze_norms : bool
        Keep the statistics of the batch norms: batches are small, and in use the
        statistics are fixed.
    edge : float
        What samples near the outline count more in the cross-entropy.
    average : float
        Part of the running average that a step keeps.
    kinds : dict
        How often crops of each kind are drawn, relatively; "synthetic" are scenes
        that are made up.
    strong : bool
        Scale crops and change their intensities as widely as microscopes differ;
        else they are cut, turned and scaled a little.
    copied, bent : float
        How often objects of a crop are put beside others of it, and how often it is
        bent; only if `strong`.
    mixed : bool
        Decode in bfloat16. Faster on processors that have it, and outlines are to be
        right to a part of a pixel, not to a part of a thousand.
    evaluate_every : int
        Steps between two looks at the validation part; 0 for none.
    evaluate_objects : int
        Objects of an image that are asked for then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: PositiveInt = 6000
    minutes: PositiveFloat | None = None
    start: str = "imagenet"
    crops: PositiveInt = 4
    objects: PositiveInt = 6
    rate: PositiveFloat = 1e-3
    backbone_rate: PositiveFloat = 3e-4
    decay: float = 1e-2
    warm_up: PositiveInt = 100
    corrections: tuple[float, ...] = (0.35, 0.35, 0.2, 0.1)
    prompts: PromptMix = PromptMix()
    freeze_norms: bool = False
    edge: float = 2.0
    average: float = 0.998
    seed: int = 0
    kinds: dict[str, float] = {
        "fluorescence": 0.46,
        "histology_purple": 0.23,
        "brightfield_gray": 0.09,
        "phase": 0.14,
        "synthetic": 0.08,
    }
    strong: bool = True
    copied: Chance = 0.25
    bent: Chance = 0.2
    mixed: bool = False
    evaluate_every: int = 0
    evaluate_objects: PositiveInt = 8


def read_config(path: Path) -> Config:
    """Read and check a configuration."""
    return Config.model_validate(_fields(path))


def write_config(config: Config, path: Path) -> None:
    """Write all fields, so that a run's folder says what was trained."""
    fields = config.model_dump(mode="json")
    path.write_text(yaml.safe_dump(fields, sort_keys=False), "utf-8")


def _fields(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(path.read_text("utf-8")) or {}
    base = fields.pop("base", None)
    return fields if base is None else _fields(path.parent / base) | fields
