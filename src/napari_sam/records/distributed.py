"""A run on several processes, here or on other machines (dask.distributed).

The unit of work is one input. A worker writes its results itself, with the same code
and into the same files as a run without workers, so that whatever happens to it, what
it has finished is there. What travels over the network is which input is meant, how far
it is, and how it ended.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import tempfile
import threading
import uuid
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam.models.cache import EmbeddingCache
from napari_sam.models.catalog import list_models
from napari_sam.models.runtime import usable_cores, use_threads
from napari_sam.records.files import prepare_folder
from napari_sam.records.report import Listener, PlaneDone, Progress
from napari_sam.records.settings import Weights, described_weights
from napari_sam.records.work import FOLDER
from napari_sam.segment.annotate import load_parts
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from distributed import Client, Future, LocalCluster, Worker

    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.records.report import InputReport
    from napari_sam.records.task import Task
    from napari_sam.segment.recipe import Recipe

# An input whose worker dies so often is not tried again.
_DEATHS: Final = 3


class WorkersError(NapariSamError):
    """There are no workers, or they cannot do what is asked for."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work.

    Attributes
    ----------
    count : int
        Processes that are started on this machine.
    threads : int, optional
        Cores that each of them may keep busy; by default they share what there is, and
        those of a scheduler have what they were started with.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead.
    """

    count: int = 1
    threads: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True, slots=True)
class _Common:
    """What the workers have to know of a run."""

    run: str
    recipe: Recipe
    weights: Weights
    threads: int | None
    cache: tuple[Path, int, float] | None
    local: bool


def spread(
    workers: Workers,
    weights: Weights,
    cache: EmbeddingCache | None,
    tasks: Sequence[Task],
    listen: Listener,
) -> Generator[tuple[Task, InputReport], None, None]:
    """Let workers annotate inputs, and tell what happens.

    Parameters
    ----------
    workers : Workers
    weights : Weights
        Those that the workers must have.
    cache : EmbeddingCache, optional
        Each worker uses the same folder.
    tasks : sequence of Task
    listen : callable
        Gets a `Progress` for what happens to the inputs, on this thread.

    Yields
    ------
    Task, InputReport
        As they end. An input whose worker is lost is given to another one; one that has
        cost three workers has failed.

    Raises
    ------
    WorkersError
        No workers, or they see other files, or have other weights.
    DiskFullError
    """
    if not tasks:
        return
    there = [_everywhere(task) for task in tasks]
    threads = workers.threads
    if workers.scheduler is None and threads is None:
        threads = max(1, usable_cores() // workers.count)
    common = _Common(
        uuid.uuid4().hex,
        there[0].recipe,
        weights,
        threads,
        None if cache is None else (cache.folder.absolute(), cache.limit, cache.share),
        workers.scheduler is None,
    )
    with _connected(workers, common.run) as client:
        _prepare_all(client, common, there, listen)
        originals = {task.number: task for task in tasks}
        for number, report in _Spread(client, common, listen).over(there):
            task = originals[number]
            labels = report.labels and task.layout.labels(task.item.relative)
            yield task, replace(report, path=task.item.path, labels=labels)


def _everywhere(task: Task) -> Task:
    """Return a task that means the same in whatever folder a process was started."""
    item = replace(task.item, path=task.item.path.absolute())
    layout = replace(task.layout, output=task.layout.output.absolute())
    names = {entry.name for entry in list_models()}
    files = {
        part: str(Path(name).absolute())
        for part in ("model", "detector")
        if (name := getattr(task.recipe, part)) not in names and Path(name).exists()
    }
    recipe = task.recipe.model_copy(update=files)
    return replace(task, item=item, layout=layout, recipe=recipe)


# What runs here, beside the run.


@contextmanager
def _connected(workers: Workers, run: str) -> Iterator[Client]:
    """Start workers, or find those that there are; in the end they are at rest."""
    try:
        import dask
        from distributed import Client, LocalCluster
        from distributed.security import Security
        from distributed.utils import silence_logging_cmgr
    except ImportError as error:
        raise WorkersError(
            f"more than one worker needs dask.distributed ({error}): "
            'pip install "napari-sam-annotator[cluster]"'
        ) from error
    if workers.scheduler is not None:
        try:
            client = Client(workers.scheduler, set_as_default=False)
        except (OSError, ValueError) as error:
            raise WorkersError(
                f"no scheduler answers at {workers.scheduler} ({error}): start one "
                "with `dask scheduler`, or let --workers start processes here"
            ) from error
        with client:
            try:
                yield client
            except BaseException:
                with suppress(OSError, NapariSamError):
                    client.run(_stop, run, on_error="ignore")
                raise
        return
    settings = {
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        # None waits at a worker that may be lost with the one before it.
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        dask.config.set(settings),
        # The cluster's own `silence_logs` ends before its last connections do.
        silence_logging_cmgr(logging.CRITICAL),
        tempfile.TemporaryDirectory(prefix="napari-sam-") as scratch,
        LocalCluster(
            n_workers=workers.count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            # Else whoever has an account here could make it run anything.
            security=Security.temporary(),
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            preload=[__name__],
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        try:
            yield client
        except BaseException:
            _end_now(cluster)
            raise


def _end_now(cluster: LocalCluster) -> None:
    """End the workers; their files may be left at any moment."""
    import psutil
    from distributed import Status

    for nanny in cluster.workers.values():
        nanny.status = Status.closing_gracefully  # it starts no other one
        with suppress(psutil.Error):
            if nanny.pid is not None:
                psutil.Process(nanny.pid).kill()


def _prepare_all(
    client: Client, common: _Common, tasks: Sequence[Task], listen: Listener
) -> None:
    """Have the workers look at the files and load model and detector.

    Those that come later do the second by themselves.
    """
    if not client.nthreads():
        where = client.scheduler_info()["address"]
        listen(Progress("warning", "", f"no worker at {where} yet: waiting for one"))
        client.wait_for_workers(1)
    many = {where: count for where, count in client.nthreads().items() if count > 1}
    if many:
        where, count = next(iter(many.items()))
        raise WorkersError(
            f"the worker at {where} does {count} things at once, and each process has "
            "one model: start workers with --nthreads 1, and more of them"
        )
    paths = [task.item.path for task in tasks if task.item.error is None]
    output = tasks[0].layout.output
    answers = client.run(_prepare, common, output, paths, on_error="return")
    for where, answer in answers.items():
        if isinstance(answer, OSError):
            continue  # it was lost meanwhile
        if isinstance(answer, Exception):
            what = " ".join(str(answer).split())
            if not isinstance(answer, NapariSamError):
                what = f"{type(answer).__name__}: {what}"
            raise WorkersError(f"the worker at {where} cannot do this: {what}")


class _Spread:
    """The inputs that workers have, and what is heard of them.

    What is heard comes on threads of dask; it is put into a queue, and answered on the
    thread of the run.
    """

    def __init__(self, client: Client, common: _Common, listen: Listener) -> None:
        self._client = client
        self._common = common
        self._listen = listen
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._open: dict[int, tuple[Task, Future[Any]]] = {}
        self._begun: Counter[int] = Counter()

    def over(self, tasks: Sequence[Task]) -> Iterator[tuple[int, InputReport]]:
        """Yield the number of each task and how it ended, as they end."""
        run = self._common.run
        self._client.subscribe_topic(run, lambda event: self._heard.put(event[1]))
        try:
            for task in tasks:
                self._submit(task)
            while self._open:
                heard = self._next()
                if isinstance(heard, dict):
                    self._tell(heard["number"], heard["event"])
                elif (ended := self._ended(*heard)) is not None:
                    yield ended
        finally:
            self._client.unsubscribe_topic(run)
            self._client.cancel([future for _, future in self._open.values()])

    def _submit(self, task: Task) -> None:
        number = task.number
        future = self._client.submit(
            _do, task, self._common, pure=False, priority=-number
        )
        self._open[number] = (task, future)
        future.add_done_callback(lambda done: self._heard.put((number, done)))

    def _next(self) -> Any:
        # A wait without end does not hear Ctrl-C on Windows.
        while True:
            with suppress(queue.Empty):
                return self._heard.get(timeout=1)

    def _tell(self, number: int, event: dict[str, Any] | None) -> None:
        if number not in self._open:
            return
        if event is not None:
            finished = event.pop("finished")
            self._listen(Progress(**event, finished=finished and PlaneDone(**finished)))
            return
        self._begun[number] += 1
        if self._begun[number] > 1:
            task, _ = self._open[number]
            lost = f"{task.item.path}: its worker was lost, another one goes on with it"
            self._listen(task.told("warning", lost))

    def _ended(
        self, number: int, future: Future[Any]
    ) -> tuple[int, InputReport] | None:
        from distributed import KilledWorker

        task, current = self._open[number]
        if future is not current:
            return None
        if future.cancelled():
            raise WorkersError(
                "the scheduler is gone: finished planes are kept, the same command "
                "goes on from there"
            )
        error = future.exception()
        if isinstance(error, KilledWorker) and self._begun[number] < _DEATHS:
            self._submit(task)  # it only waited at workers that others have cost
            return None
        del self._open[number]
        if error is None:
            return number, future.result()
        if isinstance(error, NapariSamError):
            raise error
        if isinstance(error, KilledWorker):
            return number, task.failed(
                f"{task.item.path} could not be annotated: {self._begun[number]} "
                "workers were lost over it, perhaps for want of memory: use fewer"
            )
        return number, task.unexpected(error)


# What runs in the workers.

_alone: Final = threading.Lock()
_stopped: Final[set[str]] = set()
_loaded: Final[dict[str, tuple[PromptableModel, Detector, EmbeddingCache | None]]] = {}


class _Stopped(BaseException):
    """The run has ended without waiting for this."""


def dask_setup(worker: Worker) -> None:
    """Prepare a process that is a worker of ours; dask calls this when it starts.

    Ctrl-C in a terminal reaches all processes, and only the run must act on it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop(run: str) -> None:
    _stopped.add(run)


async def _prepare(
    common: _Common, output: Path, paths: Sequence[Path], dask_worker: Worker
) -> None:
    def prepare() -> None:
        for path in (output / FOLDER, *paths):
            if not path.exists():
                raise WorkersError(
                    f"it does not see {path}: workers must have the images and the "
                    "results under the same paths as this machine"
                )
        prepare_folder(output)
        _parts(common, str(dask_worker.name))

    await asyncio.to_thread(prepare)


def _do(task: Task, common: _Common) -> InputReport:
    from distributed import get_worker

    worker = get_worker()

    def check() -> None:
        if common.run in _stopped:
            raise _Stopped

    def tell(event: Progress) -> None:
        check()
        worker.log_event(common.run, {"number": task.number, "event": asdict(event)})

    worker.log_event(common.run, {"number": task.number, "event": None})
    model, detector, cache = _parts(common, str(worker.name))
    if common.threads is not None:
        use_threads(common.threads)
    try:
        return task.do(model, detector, tell, check)
    finally:
        if cache is not None:
            cache.close()


def _parts(
    common: _Common, name: str
) -> tuple[PromptableModel, Detector, EmbeddingCache | None]:
    """Return model and detector, which are loaded once in each process."""
    from napari_sam.models.device import device_of_worker

    recipe = common.recipe
    if common.local and name.isdecimal():
        recipe = recipe.model_copy(
            update={"device": device_of_worker(recipe.device, int(name))}
        )
    key = f"{recipe.model_dump_json()} {common.weights} {common.cache}"
    with _alone:
        if key not in _loaded:
            _loaded.clear()
            cache = None
            if common.cache is not None:
                folder, limit, share = common.cache
                cache = EmbeddingCache(folder, limit=limit, share=share)
            model, detector = load_parts(recipe, cache=cache)
            there = Weights(
                model=described_weights(model.info),
                detector=described_weights(detector.info),
            )
            if there != common.weights:
                raise WorkersError(
                    f"its weights are {there.model} and {there.detector}, not "
                    f"{common.weights.model} and {common.weights.detector}: install "
                    "the same ones there"
                )
            _loaded[key] = (model, detector, cache)
        return _loaded[key]
