"""What a session writes, on whatever thread calls it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from napari_sam.live.disk.kept.entries import Entry, Packed
from napari_sam.live.disk.kept.errors import JournalError
from napari_sam.live.disk.kept.logfile import LogFile
from napari_sam.live.disk.kept.snapshots import write_base, write_compact
from napari_sam.live.disk.kept.written import record_to_text
from napari_sam.records.files import remove_parts

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_sam.live.disk.kept.folder import About, Folder
    from napari_sam.live.disk.kept.snapshots import Base
    from napari_sam.live.labels.changes import Change


class Logs:
    """Writes into a session folder that the caller holds.

    Parameters
    ----------
    folder : Folder
    about : About
        What is worked on. Where the folder has a session already it must be of
        the same shape, and goes on.
    base : Base or None
        The objects before the first change, for a session that begins.
    compact_above : int
        Bytes of logs from which on a snapshot is made.

    Raises
    ------
    JournalError
        If the folder holds something else.
    """

    def __init__(
        self, folder: Folder, about: About, base: Base | None, compact_above: int
    ) -> None:
        remove_parts(folder.path, "snapshot-*")  # others may be written right now
        earlier = folder.about()
        if earlier is not None and earlier.shape != about.shape:
            raise JournalError(
                f"{folder.path} holds labels of the shape {earlier.shape}, these have "
                f"{about.shape}: they are of another image"
            )
        self.folder = folder
        self.begun = earlier is not None
        self._about = about if earlier is None else earlier
        self._base = base if earlier is None else None
        self._next_id = about.next_id
        self._compact_above = compact_above
        numbers = folder.numbers("log")
        self._older = sum(folder.log(n).stat().st_size for n in numbers)
        # Never behind what is there: its end may be torn.
        self._number = max((*numbers, *folder.numbers("snapshot")), default=-1) + 1
        self._log = LogFile(folder.log(self._number))

    def write(self, entries: Sequence[Entry]) -> None:
        """Append entries; they are on the disk afterwards.

        Raises
        ------
        OutputError
            If they cannot be written; none of them counts then.
        """
        if not self.begun or not self.folder.about_file.exists():
            self.folder.write_about(self._about)
            self.begun = True
        self._log.append(b"".join(entry.encode() for entry in entries))

    def entry_of(self, change: Change, time: float) -> Entry:
        """Return a change as it is written."""
        ids = {*change.records_before, *change.records_after}
        self._next_id = max(self._next_id, *(i + 1 for i in ids), 1)
        return Entry(
            "change",
            time,
            change.what,
            self._next_id,
            records={
                number: None if record is None else record_to_text(record)
                for number, record in change.records_after.items()
            },
            patches=tuple(Packed.of(p.index, p.box, p.after) for p in change.patches),
        )

    def work(self, time: float) -> Generator[None] | None:
        """Return what should be done in between, step by step; None if nothing."""
        if self._base is not None:
            return self._keep_base(self._base, time)
        if self._older + self._log.size > self._compact_above:
            return self._compact()
        return None

    @property
    def must_finish(self) -> bool:
        """Whether what `work` has returned is needed for a restore."""
        return self._base is not None

    def give_up(self) -> None:
        """Wait until there is more before a snapshot is tried again."""
        self._compact_above *= 2

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _keep_base(self, base: Base, time: float) -> Generator[None]:
        yield from write_base(self.folder.snapshot(0), base, time)
        self._base = None

    def _compact(self) -> Generator[None]:
        # What is drawn from here on goes into a new log.
        self._log.close()
        self._older += self._log.size
        self._number += 1
        self._log = LogFile(self.folder.log(self._number))
        number = self._number
        height, width = self._about.shape[-2:]
        yield from write_compact(
            self.folder.snapshot(number),
            self.folder.logs(before=number),
            (height, width),
            self._about.next_id,
        )
        self._older = 0
        self._remove_before(number)

    def _remove_before(self, number: int) -> None:
        old = [self.folder.log(n) for n in self.folder.numbers("log") if n < number]
        old += (
            self.folder.snapshot(n)
            for n in self.folder.numbers("snapshot")
            if n < number
        )
        for path in old:
            # What stays is not read any more.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
