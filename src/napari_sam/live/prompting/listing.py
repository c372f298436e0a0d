"""The list of classes as a part of the session: edits of it can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.live.prompting.flow import Flow
from napari_sam.live.prompting.steps import Edit, Replaced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.classes import ClassList
    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.history import Step


class Listing(Flow):
    """Knows what objects can be. `Session` describes the attributes."""

    def list_classes(
        self, classes: ClassList, what: str = "", change: Change | None = None
    ) -> None:
        """Let there be other classes.

        Parameters
        ----------
        classes : ClassList
        what : str
            What the person has done; empty where it is no step to take back.
        change : Change, optional
            What it did to objects.
        """
        if what:
            edits = () if change is None else (Edit(change, self._apply),)
            before = self.classes
            nbytes = 200 * (len(before) + len(classes))
            self.note(Replaced(what, before, classes, self._list, nbytes, edits))
        if change is not None:
            self._news.changes.append(change)
        self._list(classes)
        self._flush()

    def note(self, step: Step) -> None:
        """Let a step be taken back in its turn, after it has been done."""
        self._commits.edited()
        self.history.push(step)

    def _list(self, classes: ClassList) -> None:
        self.classes = classes
        if classes.get(self.class_id) is None:
            self.class_id = 0
        self.on_classes()

    def _of_class(self, about: Mapping[str, Any]) -> dict[str, Any]:
        fields = dict(about)
        name = fields.pop("class_name", "")
        if name:
            classes, (fields["class_id"],) = self.classes.mapped([name])
            if classes is not self.classes:
                self._list(classes)
        return fields
