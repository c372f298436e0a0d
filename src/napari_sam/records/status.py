"""How far a run is, what failed and why, while it runs and afterwards."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam.records.files import is_locked
from napari_sam.records.ledger import NAME, Ledger
from napari_sam.records.work import Workspace
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.records.work import RunRecord

STATES: Final = ("done", "failed", "working", "unfinished", "waiting")


@dataclass(frozen=True, slots=True)
class Failed:
    """An input that failed when it was last tried."""

    image: str
    message: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Begun:
    """An input of which some planes are finished, or none yet."""

    image: str
    finished: int
    planes: int


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a run.

    Attributes
    ----------
    name : str
        Its relative name without suffix, which its results have, too.
    image : str
        As in `objects.csv`.
    path : str
        Where it is; empty where nobody has tried it yet.
    state : str
        Of `STATES`.
    finished : int
        How many of its planes are.
    planes, objects : int or None
        None where that is not known yet.
    error : str
        Why it failed.
    """

    name: str
    image: str
    path: str
    state: str
    finished: int
    planes: int | None
    objects: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far the results in a folder are.

    Attributes
    ----------
    output : str
    running : bool
        A process is writing there now.
    images : dict of str to int
        How many are in each of `STATES`.
    planes, finished : int
        Of the images that were opened.
    objects : int
        Of the images that are done.
    seconds_per_plane : float or None
        The median; None where no time is known.
    seconds_left : float or None
        For what is not done and did not fail, as fast as until now; None where nothing
        is known of the speed or of the number of planes.
    failed : list of Failed
    begun : list of Begun
        What is being worked on, or was when a run ended early.
    notes : list of str
        Where the states were taken from, if not from the tables of the run.
    """

    output: str
    running: bool
    images: dict[str, int]
    planes: int
    finished: int
    objects: int
    seconds_per_plane: float | None
    seconds_left: float | None
    failed: list[Failed] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_status(output: str | Path) -> Status:
    """Find out how far the results in a folder are; nothing is written.

    Parameters
    ----------
    output : str or Path
        Of `run`, also while one is going on, after a crash, or of an older version.

    Raises
    ------
    OutputError
        If no run has written there, or what it wrote cannot be understood.
    """
    return read_items(output)[0]


def read_items(output: str | Path) -> tuple[Status, list[Item]]:
    """Find out how far the results in a folder are, and each of its inputs.

    As `read_status`; the inputs are in the order in which they are done.
    """
    output = Path(output)
    space = Workspace(output)
    record = space.record()
    if record is None:
        raise OutputError(
            f"{output} holds no results of a run: name the folder that was its --output"
        )
    whole = is_locked(space.lock)
    running = whole or any(map(is_locked, space.part_locks()))
    with closing(Ledger(space)) as ledger:
        notes = _fill(ledger, space, record, whole)
        # Parts enter what they have done at their end only.
        notes = [] if running and not ledger.anew else notes
        return _status(ledger.db, output, running, notes), _items(ledger.db)


def _items(db: sqlite3.Connection) -> list[Item]:
    finished = dict(
        db.execute(
            "SELECT input, count(*) FROM planes WHERE state = 'done' GROUP BY input"
        )
    )
    return [
        Item(name, image, path, state, finished.get(number, 0), planes, objects, error)
        for number, name, image, path, state, planes, objects, error in db.execute(
            "SELECT id, name, image, path, state, planes, objects, error FROM inputs "
            "ORDER BY id"
        )
    ]


def _fill(
    ledger: Ledger, space: Workspace, record: RunRecord, running: bool
) -> list[str]:
    """Copy the tables into memory and bring them up to the files."""
    _copy(space.folder / NAME, ledger, running)
    if running and not ledger.anew:
        return []  # it is written as things happen
    found = ledger.catch_up(record.inputs)
    if ledger.anew:
        return ["taken from the files alone: times and what failed are not known"]
    if found.images or found.planes:
        return ["the last run was cut off: what it finished was taken from its files"]
    return []


def _copy(path: Path, ledger: Ledger, running: bool) -> None:
    try:
        with _opened(path, running) as source:
            source.backup(ledger.db)
        ledger.anew = False
        ledger.check()
    except (OSError, sqlite3.Error):
        ledger.renew()


@contextmanager
def _opened(path: Path, running: bool) -> Iterator[sqlite3.Connection]:
    """Open the tables so that no file beside them is made or changed."""
    log = path.with_name(f"{path.name}-wal")
    with tempfile.TemporaryDirectory() as folder:
        if not log.exists():
            # All is in one file. SQLite need not agree with others who read it, for
            # which it would make files of its own.
            how = "mode=ro&immutable=1"
        else:
            how = "mode=ro"
            if not running:
                # A run was cut off, and what it wrote last must be put in first.
                shutil.copy(log, folder)
                path = Path(shutil.copy(path, folder))
        # As an address, since `?` and `%` may stand in names.
        place = f"{path.absolute().as_uri()}?{how}"
        with closing(sqlite3.connect(place, uri=True, timeout=30)) as source:
            yield source


def _status(
    db: sqlite3.Connection, output: Path, running: bool, notes: list[str]
) -> Status:
    counts = dict(db.execute("SELECT state, count(*) FROM inputs GROUP BY state"))
    begun = [
        Begun(image, finished, planes)
        for image, planes, finished in db.execute(
            "SELECT image, planes, (SELECT count(*) FROM planes WHERE input = id AND "
            "state = 'done') FROM inputs WHERE state IN ('working', 'unfinished') "
            "ORDER BY id"
        )
    ]
    done, objects, mean = db.execute(
        "SELECT total(planes), total(objects), avg(planes) FROM inputs "
        "WHERE state = 'done'"
    ).fetchone()
    times = [
        seconds
        for (seconds,) in db.execute(
            "SELECT seconds FROM planes WHERE seconds IS NOT NULL"
        )
    ]
    left = sum(one.planes - one.finished for one in begun)
    waiting = counts.get("waiting", 0)
    typical = mean or (statistics.fmean(one.planes for one in begun) if begun else None)
    pace = _pace(db, running) or (statistics.fmean(times) if times else None)
    known = pace is not None and (typical is not None or not waiting)
    return Status(
        str(output),
        running,
        {state: counts.get(state, 0) for state in STATES},
        int(done) + sum(one.planes for one in begun),
        int(done) + sum(one.finished for one in begun),
        int(objects),
        statistics.median(times) if times else None,
        (left + waiting * (typical or 0)) * (pace or 0) if known else None,
        [
            Failed(*row)
            for row in db.execute(
                "SELECT image, error, attempt FROM inputs WHERE state = 'failed' "
                "ORDER BY id"
            )
        ],
        begun,
        notes,
    )


def _pace(db: sqlite3.Connection, running: bool) -> float | None:
    """Return the seconds from slice to slice of the run that is going on.

    All that it does is in them, also on several workers at once.
    """
    row = db.execute("SELECT value FROM facts WHERE name = 'started'").fetchone()
    if not running or row is None:
        return None
    count = db.execute(
        "SELECT count(*) FROM planes WHERE ended >= ? AND seconds IS NOT NULL", row
    ).fetchone()[0]
    return (time.time() - row[0]) / count if count else None
