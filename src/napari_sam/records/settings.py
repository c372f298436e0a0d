"""Saved settings: one TOML file that says everything a run needs.

version = 1
inputs = ["plates/*.tif"]     # relative ones count from this file
output = "results"
formats = ["tiff", "coco"]

[options]                     # of `napari-sam annotate`, with _ for -
model = "pocket"
link = "stack"

[weights]                     # if they are others here, nothing is run
model = "pocket 0.3.0 5f0c…"
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_sam.records.files import write_text
from napari_sam.segment.recipe import Recipe, RecipeError, make_recipe
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.protocol import ModelInfo

NAME: Final = "settings.toml"
_VERSION: Final = 1
_HEAD: Final = "# Saved settings of SAM Annotator"

Text = Annotated[str, Field(min_length=1)]


class SettingsError(NapariSamError):
    """Saved settings cannot be read, or not be used here."""


class Weights(BaseModel):
    """Which weights the results were made with: name, version, sha256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Text
    detector: Text


class Settings(BaseModel):
    """What a run needs.

    Attributes
    ----------
    inputs : tuple of str
        Files, folders, patterns.
    output : str
    formats : tuple of str
    options : Recipe
    weights : Weights, optional
        Without them a run takes those that are there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = _VERSION
    inputs: Annotated[tuple[Text, ...], Field(min_length=1)]
    output: Text
    formats: tuple[Text, ...] = ("tiff",)
    options: Recipe = Recipe()
    weights: Weights | None = None

    @field_validator("options", mode="before")
    @classmethod
    def _checked(cls, value: object) -> object:
        return make_recipe(**value) if isinstance(value, dict) else value

    def text(self, name: str = NAME) -> str:
        """Return them as a file has them; what has no value is left out."""
        plain = self.model_dump(mode="json", exclude_none=True)
        return f"{_HEAD}. Again: napari-sam run {name}\n\n{tomli_w.dumps(plain)}"


def read_settings(path: str | Path) -> Settings:
    """Read saved settings.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Settings
        With inputs and output as places on this machine.

    Raises
    ------
    SettingsError
        In one line that names the file, what is wrong in it, and what may be meant.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    if table.get("version", _VERSION) != _VERSION:
        raise SettingsError(
            f"{path} is of version {table['version']}, and this program reads version "
            f"{_VERSION}: install the newest napari-sam-annotator"
        )
    try:
        settings = Settings(**table)
    except RecipeError as error:
        raise SettingsError(f"{path}: [options] {error}") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {'; '.join(_messages(error))}") from None
    return _on_this_machine(settings, path.absolute().parent)


def write_settings(path: Path, settings: Settings) -> None:
    """Save settings, unless a person wrote the file that is there.

    One that says the same stays as it is, with the comments that it has got.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if path.exists():
        if not path.read_bytes().startswith(_HEAD.encode()):
            return
        try:
            folder = path.absolute().parent
            if read_settings(path) == _on_this_machine(settings, folder):
                return
        except SettingsError:
            pass  # damaged: what is said now is right
    write_text(path, settings.text(path.name))


def described(
    inputs: Sequence[str | Path],
    output: Path,
    formats: Sequence[str],
    recipe: Recipe,
    weights: Weights,
) -> Settings:
    """Return the settings of a run as they go into its own folder.

    The output is that folder, and the inputs are said from there, so that both can be
    moved together; those on another drive keep their whole path.
    """
    return Settings(
        inputs=tuple(_from(output.absolute(), str(each)) for each in inputs),
        output=".",
        formats=tuple(formats),
        options=recipe,
        weights=weights,
    )


def described_weights(info: ModelInfo) -> str:
    """Return which weights these are, in one line."""
    return f"{info.name} {info.version} {info.sha256}"


def check_weights(wanted: Weights, there: Weights) -> None:
    """Refuse to go on with other weights than those that were saved.

    Raises
    ------
    SettingsError
        Naming both.
    """
    for what in ("model", "detector"):
        saved, now = getattr(wanted, what), getattr(there, what)
        if saved != now:
            raise SettingsError(
                f"the settings were saved with the {what} {saved}, and here it is "
                f"{now}: get the same weights, or delete the lines below [weights] to "
                "take these"
            )


def _from(folder: Path, path: str) -> str:
    try:
        found = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(Path(path).absolute())
    return Path(found).as_posix()


def _on_this_machine(settings: Settings, folder: Path) -> Settings:
    """Return settings whose paths count from the folder of their file."""
    inputs = tuple(os.path.normpath(folder / each) for each in settings.inputs)
    output = os.path.normpath(folder / settings.output)
    return settings.model_copy(update={"inputs": inputs, "output": output})


def _messages(error: ValidationError) -> list[str]:
    lines = []
    for detail in error.errors(include_url=False, include_context=False):
        *outer, name = (str(part) for part in detail["loc"])
        where = "".join(f"[{part}] " for part in outer if not part.isdigit())
        if detail["type"] == "extra_forbidden":
            known = Weights.model_fields if outer else Settings.model_fields
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            )
            lines.append(f"{where}there is no setting {name}: {hint}")
        elif detail["type"] == "missing":
            lines.append(f"{where}{name} is missing")
        else:
            said = detail["msg"].replace("Input should", "must", 1)
            lines.append(f"{where}{name} {said.replace('String should', 'must', 1)}")
    return lines
