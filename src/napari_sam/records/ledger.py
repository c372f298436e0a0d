"""What a run has done so far, as tables that can be asked: inputs, planes, times.

An index beside the files of `work.py`, which alone decide what is finished. Where it
is missing, damaged or behind, it is made again from them; only times, scores, hashes
and reasons of failures can be lost with it. One process writes it: the one that holds
the lock of the output folder.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from napari_sam.records.layout import image_name
from napari_sam.records.report import Progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from napari_sam.images import InputFile
    from napari_sam.records.layout import Layout
    from napari_sam.records.report import Listener, PlaneDone
    from napari_sam.records.work import InputRecord, InputWork, Workspace

_log = logging.getLogger(__name__)

NAME: Final = "ledger.sqlite"
_VERSION: Final = 1
_SCHEMA: Final = f"""
PRAGMA user_version = {_VERSION};
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE inputs (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, image TEXT NOT NULL,
    path TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'waiting',
    attempt INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    started REAL, ended REAL, planes INTEGER, objects INTEGER,
    score REAL, lowest REAL, fingerprint TEXT, sha256 TEXT
);
CREATE TABLE planes (
    input INTEGER NOT NULL, plane INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempt INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', ended REAL, seconds REAL, objects INTEGER,
    score REAL, lowest REAL, PRIMARY KEY (input, plane)
) WITHOUT ROWID;
CREATE INDEX missing ON planes (input, plane) WHERE state != 'done';
"""

_VANISHED: Final = (
    "{path} was there for an earlier run, which did not finish it, and is not there "
    "any more: put it back, or name it where it is now"
)


class Difference(NamedTuple):
    """What the tables did not say of the files.

    Attributes
    ----------
    images, planes : int
        How many of them were brought up to date.
    vanished : tuple of str
        What to say of images of earlier runs that are neither done nor there any more.
    """

    images: int = 0
    planes: int = 0
    vanished: tuple[str, ...] = ()


class Ledger:
    """The tables of one output folder, written from what a run tells.

    States of an input: "waiting", "working", "unfinished" (some planes of a run that
    has ended), "done", "failed". Of a plane: the same without "unfinished".

    Parameters
    ----------
    space : Workspace
    database : str or Path
        By default in memory.

    Attributes
    ----------
    anew : bool
        There were no tables that could be read: which inputs failed is not known.
    """

    def __init__(self, space: Workspace, database: str | Path = ":memory:") -> None:
        self.anew = False
        self.db = _connect(database)
        self._space = space
        # Events may come from the threads that look after workers.
        self._guard = threading.Lock()
        self._broken = False

    @classmethod
    def open(cls, space: Workspace) -> Ledger:
        """Open the tables of an output folder for writing.

        Damaged ones, and those of another version, are replaced. Where the disk can
        hold none they live as long as the run.
        """
        path = space.folder / NAME
        for _ in range(2):
            ledger = None
            try:
                ledger = cls(space, path)
                ledger.db.execute("PRAGMA journal_mode = WAL")
                ledger.db.execute("PRAGMA synchronous = NORMAL")
                ledger.check()
                return ledger
            except sqlite3.Error as error:
                _log.debug("%s is made anew: %s", path, error)
                if ledger is not None:
                    ledger.db.close()
                for ending in ("", "-wal", "-shm"):
                    with contextlib.suppress(OSError):
                        path.with_name(NAME + ending).unlink(missing_ok=True)
        ledger = cls(space)
        ledger.check()
        return ledger

    def check(self) -> None:
        """Make the tables where there are none.

        Raises
        ------
        sqlite3.DatabaseError
            If those that are there are damaged or of another version.
        """
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        empty = not self.db.execute("SELECT * FROM sqlite_master").fetchone()
        if version == 0 and empty:
            self.db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            self.anew = True
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version}")
        elif (found := self.db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)

    def close(self) -> None:
        """Close the tables."""
        self.db.close()

    def begin(self, known: Iterable[str], items: Sequence[InputFile]) -> Difference:
        """Take what is to be done, and bring the tables up to the files.

        Parameters
        ----------
        known : iterable of str
            Relative names of all inputs so far.
        items : sequence of InputFile
            All that were named, also those that are not there.
        """
        try:
            return self._begin(known, items)
        except sqlite3.Error as error:
            _log.debug("the tables of states are kept in memory: %s", error)
            self.renew()
            return self._begin(known, items)

    def renew(self) -> None:
        """Take empty tables in memory instead."""
        self.db.close()
        self.db = _connect(":memory:")
        self.check()

    def failed(self, items: Sequence[InputFile]) -> list[InputFile]:
        """Return those that failed when they were last tried.

        Where that is not known, all that are not done.
        """
        there = dict(self.db.execute("SELECT name, state FROM inputs"))
        states = [there[key] for key in _keys(items)]
        return [
            item
            for item, state in zip(items, states, strict=True)
            if state == "failed" or (self.anew and state != "done")
        ]

    def hears(
        self, items: Sequence[InputFile], layout: Layout, listen: Listener
    ) -> Listener:
        """Return a listener that notes what happens and passes it on.

        `items` are those that the events count.
        """
        keys = _keys(items)

        def heard(event: Progress) -> None:
            item = items[event.number - 1]
            try:
                with self._guard:
                    if not self._broken:
                        self._note(event, keys[event.number - 1], item, layout)
            except sqlite3.Error as error:
                self._broken = True
                line = (
                    f"{self._space.folder / NAME} cannot be written ({error}): the run "
                    "goes on without it, the next one makes it again"
                )
                listen(Progress("warning", event.image, line))
            listen(event)

        return heard

    def catch_up(self, known: Iterable[str], named: Collection[str] = ()) -> Difference:
        """Bring the tables up to the files.

        Only inputs that are neither done nor failed are looked at, so that this is fast
        where nothing has changed. Of those that are `named` it is for the run to find
        out that they are not there.
        """
        with self._at_once():
            self.db.executemany(
                "INSERT OR IGNORE INTO inputs (name, image) VALUES (?1, ?1)",
                ((name,) for name in known),
            )
            rows = self.db.execute(
                "SELECT id, name, state, path FROM inputs WHERE state != 'failed'"
            ).fetchall()
            images = planes = 0
            vanished = []
            for number, name, state, path in rows:
                work = self._space.input(name)
                if state == "done" and work.exists():
                    continue
                record = work.record()
                if record is None:
                    if state != "waiting":
                        self._set(number, state="waiting")
                        self.db.execute("DELETE FROM planes WHERE input = ?", (number,))
                elif record.status == "done":
                    self._ended(number, record, work)
                    images += 1
                    continue
                else:
                    self._set(number, state="unfinished", path=record.path)
                    planes += self._planes(number, record.planes, work)
                path = path if record is None else record.path
                if path and name not in named and not Path(path).exists():
                    vanished.append(_VANISHED.format(path=path))
                    self._set(number, state="failed", error=vanished[-1])
        return Difference(images, planes, tuple(vanished))

    def _begin(self, known: Iterable[str], items: Sequence[InputFile]) -> Difference:
        keys = _keys(items)
        names = list(known)
        with self._at_once():
            self.db.execute("REPLACE INTO facts VALUES ('started', ?)", (time.time(),))
            self.db.execute("CREATE TEMP TABLE named (name TEXT PRIMARY KEY)")
            self.db.executemany(
                "INSERT OR IGNORE INTO named VALUES (?)",
                ((name,) for name in (*names, *keys)),
            )
            # A name that led nowhere and is not asked for any more.
            self.db.execute(
                "DELETE FROM inputs WHERE name NOT IN (SELECT name FROM named)"
            )
            self.db.executemany(
                "INSERT INTO inputs (name, image, path) VALUES (?1, ?2, ?3) "
                "ON CONFLICT DO UPDATE SET image = ?2, path = ?3",
                (
                    (key, image_name(item), str(item.path.absolute()))
                    for key, item in zip(keys, items, strict=True)
                ),
            )
        return self.catch_up(names, set(keys))

    def _note(self, event: Progress, key: str, item: InputFile, layout: Layout) -> None:
        if event.kind not in ("start", "plane", "done", "skipped", "failed"):
            return
        work = self._space.input(key)
        with self._at_once():
            number, state = self.db.execute(
                "SELECT id, state FROM inputs WHERE name = ?", (key,)
            ).fetchone()
            if event.kind == "start":
                self._again(number)
                self._set(number, state="working", error="")
                self._planes(number, event.planes, work)
                self._next(number)
            elif event.kind == "plane" and event.finished is not None:
                self._finished(number, event.finished)
                self._next(number)
            elif event.kind == "done" and (record := work.record()) is not None:
                self._ended(number, record, work, layout.labels(item.relative))
            elif event.kind == "skipped" and state != "done":
                if (record := work.record()) is not None:
                    self._ended(number, record, work)
            elif event.kind == "failed":
                if state != "working":  # it did not come so far
                    self._again(number)
                self._set(
                    number, state="failed", error=event.message, ended=time.time()
                )
                self.db.execute(
                    "UPDATE planes SET state = 'failed', error = ? "
                    "WHERE input = ? AND state = 'working'",
                    (event.message, number),
                )

    def _again(self, number: int) -> None:
        self.db.execute(
            "UPDATE inputs SET attempt = attempt + 1, started = ?, ended = NULL "
            "WHERE id = ?",
            (time.time(), number),
        )

    def _planes(self, number: int, count: int, work: InputWork) -> int:
        """Say of every plane whether it is finished; return how many were unknown."""
        done = work.finished_planes()
        noted = {
            plane
            for (plane,) in self.db.execute(
                "SELECT plane FROM planes WHERE input = ? AND state = 'done'", (number,)
            )
        }
        self.db.execute(
            "DELETE FROM planes WHERE input = ? AND plane >= ?", (number, count)
        )
        self.db.executemany(
            "INSERT INTO planes (input, plane, state) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET state = excluded.state, error = ''",
            (
                (number, plane, "done" if plane in done else "waiting")
                for plane in range(count)
            ),
        )
        self._set(number, planes=count)
        return len(done ^ noted)

    def _next(self, number: int) -> None:
        """Say which plane is worked on now: the first that is missing."""
        self.db.execute(
            "UPDATE planes SET state = 'working', attempt = attempt + 1 "
            "WHERE input = ?1 AND plane = (SELECT min(plane) FROM planes "
            "WHERE input = ?1 AND state != 'done')",
            (number,),
        )

    def _finished(self, number: int, plane: PlaneDone) -> None:
        self.db.execute(
            "UPDATE planes SET state = 'done', ended = ?, seconds = ?, objects = ?, "
            "score = ?, lowest = ? WHERE input = ? AND plane = ?",
            (
                time.time(),
                plane.seconds,
                plane.objects,
                plane.score,
                plane.lowest,
                number,
                plane.number,
            ),
        )

    def _ended(
        self,
        number: int,
        record: InputRecord,
        work: InputWork,
        labels: Path | None = None,
    ) -> None:
        """Note an input that is done; with `labels` it was done just now."""
        if labels is not None:
            self._set(number, sha256=_sha256(labels), ended=time.time())
        scores = _scores(work.table)
        self._set(
            number,
            state="done",
            error="",
            image=record.image,
            path=record.path,
            planes=record.planes,
            objects=record.objects,
            fingerprint=record.fingerprint,
            score=sum(scores) / len(scores) if scores else None,
            lowest=min(scores, default=None),
        )
        self.db.executemany(
            "INSERT INTO planes (input, plane, state) VALUES (?, ?, 'done') "
            "ON CONFLICT DO UPDATE SET state = 'done', error = ''",
            ((number, plane) for plane in range(record.planes)),
        )

    def _set(self, number: int, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self.db.execute(
            f"UPDATE inputs SET {columns} WHERE id = ?", (*values.values(), number)
        )

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """Change all of it or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")


def _connect(database: str | Path) -> sqlite3.Connection:
    return sqlite3.connect(
        database, timeout=30, isolation_level=None, check_same_thread=False
    )


def _keys(items: Sequence[InputFile]) -> list[str]:
    """Return what each input is called here; those that are there come first."""
    there = {str(item.relative) for item in items if item.error is None}
    return [
        str(item.path)
        if item.error is not None and str(item.relative) in there
        else str(item.relative)
        for item in items
    ]


def _scores(table: Path) -> list[float]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return [float(row["score"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError):
        return []


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
