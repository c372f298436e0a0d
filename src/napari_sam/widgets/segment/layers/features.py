"""The object table that napari shows, beside the columns that a person has there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_sam.live.values import ObjectRecord

INDEX: Final = "index"
OURS: Final = (INDEX, "class", "confidence", "source", "reviewed")
# Layers whose table has our columns, also after the panel was closed.
_ours: WeakSet[Labels] = WeakSet()


def table_of(
    records: Iterable[ObjectRecord], names: Mapping[int, str] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return the object table: short columns, one row per object.

    Parameters
    ----------
    records : iterable of ObjectRecord
    names : mapping of int to str, optional
        Of the classes. A class without one is shown as its number.
    """
    rows = sorted(records, key=lambda record: record.id)
    known = {0: "", **(names or {})}
    classes = [known.get(row.class_id, str(row.class_id)) for row in rows]
    return {
        INDEX: np.array([row.id for row in rows], np.int64),
        "class": np.array(classes, object),
        "confidence": np.array([row.score for row in rows], np.float64).round(3),
        "source": np.array([row.source for row in rows], object),
        "reviewed": np.array([row.reviewed for row in rows], np.bool_),
    }


class Features:
    """Keeps a layer's table: our columns, and behind them those of the person.

    A column of the person with the name of one of ours gets "(before)" behind it.
    What stands there about an object that is deleted is kept until the layer is
    left: the object may come back.

    Parameters
    ----------
    layer : Labels
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer
        # Tables are pandas' own, by way of napari.
        self._theirs: Any = _of_person(layer.features, ours=layer in _ours)
        self._written = False

    def show(self, ours: Mapping[str, npt.NDArray[Any]]) -> None:
        """Let the layer have this table, and behind it the columns of the person."""
        self._read()
        table = type(self._theirs)(dict(ours))
        rows = self._theirs.reindex(ours[INDEX])
        for name in rows:
            table[name] = rows[name].array
        self._layer.features = table
        self._written = True
        _ours.add(self._layer)

    @property
    def of_person(self) -> dict[str, dict[int, Any]]:
        """The columns of the person: a value for every object that has one."""
        self._read()
        return {
            str(name): {int(i): v for i, v in values.dropna().items()}
            for name, values in self._theirs.items()
        }

    def _read(self) -> None:
        """Take in what the person has changed since we wrote."""
        if not self._written:
            return
        now, old = _of_person(self._layer.features, ours=True), self._theirs
        hidden = old.loc[~old.index.isin(now.index)]
        hidden = hidden[[name for name in hidden if name in now]].dropna(how="all")
        self._theirs = now.combine_first(hidden)[list(now)] if len(hidden) else now


def _of_person(table: Any, *, ours: bool) -> Any:
    """Return the columns that are not ours, one row per object."""
    if INDEX in table:
        # Of several rows of one object napari shows the last.
        table = table.drop_duplicates(INDEX, keep="last").set_index(INDEX)
    same = [name for name in table if name in OURS]
    if ours:
        return table.drop(columns=same)
    return table.rename(columns={name: f"{name} (before)" for name in same})
