"""The model that answers, and the lane that it runs on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_sam.live.threads import Threads
from napari_sam.models.lane import LaneHandle, Post, acquire
from napari_sam.models.runtime import warm
from napari_sam.models.tiles import TiledModel

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.protocol import PromptableModel


class Engine:
    """Loads one model at a time, on a thread of its own.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses this object.
    owner : hashable
        For the lane.
    loaded, failed : callable
        Are told how loading ended.

    Attributes
    ----------
    name, device : str
        What was asked for.
    model : PromptableModel or None
    lane : LaneHandle or None
        Both are there or none of them.
    loading : bool
    """

    def __init__(
        self,
        post: Post,
        owner: Hashable,
        loaded: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._post, self._owner = post, owner
        self._told_loaded, self._told_failed = loaded, failed
        self._threads = Threads(post)
        self._handle: tuple[str, LaneHandle] | None = None
        self.name, self.device = "pocket", "auto"
        self.model: PromptableModel | None = None
        self.loading = False
        self._cache: EmbeddingCache | None = None

    @property
    def lane(self) -> LaneHandle | None:
        """Where the model runs."""
        if self.model is None or self._handle is None:
            return None
        return self._handle[1]

    def choose(self, name: str, device: str) -> bool:
        """Choose another model; False where it is the one that is there already."""
        if (name, device) == (self.name, self.device) and (self.loading or self.model):
            return False
        self.name, self.device = name, device
        self.stop()
        if self._handle is not None:
            self._handle[1].cancel_all()
        self.model = None
        return True

    def keep_in(self, cache: EmbeddingCache | None) -> None:
        """Let models look for slices in a cache, and keep new ones there."""
        self._cache = cache
        if isinstance(self.model, TiledModel):
            self.model.cache = cache

    def start(self) -> None:
        """Load the chosen model, unless it is there or on its way."""
        if self.model is None and not self.loading:
            self.loading = True
            work = partial(_load, self.name, self.device, self._cache)
            self._threads.run("load", work, self._loaded, self._failed)

    def stop(self) -> None:
        """Do not wait any more for a model that is being loaded."""
        if self.loading:
            self.loading = False
            self._threads.close()

    def close(self) -> None:
        """Let go of the model and leave the lane; it can be used again."""
        self.stop()
        self._threads.close()
        self.model = None
        if self._handle is not None:
            self._handle[1].close()
        self._handle = None

    def _loaded(self, model: PromptableModel) -> None:
        device = model.info.device
        if self._handle is not None and self._handle[0] != device:
            # What it has been doing is of no use to anybody: nothing to wait for.
            self._handle[1].close(timeout=0.0)
            self._handle = None
        if self._handle is None:
            lane = acquire(device, owner=self._owner, post=self._post)
            self._handle = device, lane
        self.model, self.loading = model, False
        self.keep_in(self._cache)
        self._told_loaded()

    def _failed(self, error: Exception) -> None:
        self.loading = False
        self._told_failed(error)


def _load(name: str, device: str, cache: EmbeddingCache | None) -> PromptableModel:
    # torch comes in this way only, or an open window may take the process down.
    # The built-in model does without torchvision, whose import takes seconds.
    needed = [] if name == "pocket" else ["torchvision"]
    # What it prepares is seldom worth a file, which zarr would write or read.
    if cache is not None and (name != "pocket" or cache.folder.is_dir()):
        needed.append("zarr")
    warm(*needed)
    from napari_sam.models.catalog import load_model

    return load_model(name, device=device)
