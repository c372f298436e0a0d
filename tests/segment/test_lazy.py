"""What does not fit into memory is read chunk by chunk, only where it is needed."""

import threading
from itertools import islice

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image

import napari_sam as ns
from napari_sam.images import open_image
from napari_sam.images import planes as planes_module
from napari_sam.live.source import Source
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.tiles import Tiling
from napari_sam.segment import Propagation, propose_plane

SHAPE = (3, 2, 30, 1024, 1024)


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", device="cpu")


class Probe:
    """A dask array of discs that notes which of its chunks are made."""

    def __init__(self, shape, chunks):
        self.made = []
        self._lock = threading.Lock()
        empty = da.zeros(shape, chunks=chunks, dtype=np.uint16)
        self.array = empty.map_blocks(
            self._make, dtype=np.uint16, meta=np.empty(0, "u2")
        )

    def _make(self, block, block_info=None):
        where = block_info[0]["chunk-location"]
        with self._lock:
            self.made.append(tuple(int(i) for i in where))
        y, x = np.mgrid[: block.shape[-2], : block.shape[-1]]
        discs = (y % 128 - 60) ** 2 + (x % 128 - 64) ** 2 < 20**2
        noise = np.random.default_rng(0).normal(300, 8, discs.shape)
        return np.broadcast_to(noise + 900 * discs, block.shape).astype(np.uint16)

    def taken(self):
        made, self.made = set(self.made), []
        return made


def test_a_five_dimensional_array_is_never_loaded_whole(model):
    probe = Probe(SHAPE, (1, 1, 1, 512, 512))
    stack = open_image(probe.array, axes="TCZYX", channels=[1])
    assert (stack.stack_axes, len(stack)) == ("TZ", 90)
    assert probe.taken() == set()
    contrast = stack.normalization()
    seen = probe.taken()  # 16 planes of one channel
    assert len(seen) == 16 * 4
    assert {place[1] for place in seen} == {1}

    embedding = model.encode(stack.plane((1, 7), contrast))
    answer = model.decode(embedding, [ns.Prompt(points=[(60, 64)])])[0].best
    assert 900 < answer.area < 1700
    assert probe.taken() == {(1, 1, 7, y, x) for y in (0, 1) for x in (0, 1)}

    planes = list(islice(ns.iter_annotate(stack, model=model), 2))
    assert [plane.index for plane in planes] == [(0, 0), (0, 1)]
    assert all(len(plane.objects["id"]) > 40 for plane in planes)
    read = probe.taken() - seen
    assert read == {(0, 1, 1, y, x) for y in (0, 1) for x in (0, 1)}


def test_of_a_large_plane_only_what_is_asked_about_is_read(model, monkeypatch):
    monkeypatch.setattr(planes_module, "LARGE", 2**20)
    monkeypatch.setattr(
        model, "tiling", Tiling(side=512, whole=512, small=16, large=64, most=2)
    )
    probe = Probe((2, 4096, 4096), (1, 256, 256))
    for image in (
        open_image(probe.array, axes="ZYX"),
        Source(probe.array, "image", probe.array.shape, "Z", rgb=False),
    ):
        plane = image.plane((1,), image.normalization("stack"))
        assert len(probe.taken()) < 2 * 16 * 16
        embedding = model.encode(plane)
        assert probe.taken() == set()
        answer = model.decode(embedding, [ns.Prompt(points=[(2108, 2112)])])[0].best
        assert 900 < answer.area < 1700
        read = probe.taken()
        assert 1 <= len(read) <= 9  # the tile may lie across chunks
        assert {place[0] for place in read} == {1}

    detector = load_detector("nuclei", model=model, device="cpu")
    found = propose_plane(plane, model, detector, region=(0, 0, 200, 200))
    assert 4 <= len(found) < 36
    assert probe.taken() <= {(1, y, x) for y in range(4) for x in range(4)}


def test_objects_are_followed_through_large_planes(model, monkeypatch):
    monkeypatch.setattr(
        model, "tiling", Tiling(side=256, whole=256, small=16, large=64, most=2)
    )
    probe = Probe((3, 512, 512), (1, 256, 256))
    following = Propagation(open_image(probe.array, axes="ZYX"), model)
    following.prompt(1, 0, ns.Prompt(points=[(188, 192)]))
    areas = [masks[1].area for _, masks in following.run()]
    assert len(areas) == 3
    assert all(900 < area < 1700 for area in areas)


def test_the_overview_comes_from_a_coarser_level(model, tmp_path, monkeypatch):
    monkeypatch.setattr(planes_module, "LARGE", 2**20)
    monkeypatch.setattr(
        model, "tiling", Tiling(side=512, whole=512, small=16, large=64, most=2)
    )
    y, x = np.mgrid[:2050, :2050]
    disc = ((y - 1000) ** 2 + (x - 1100) ** 2 < 700**2) * np.uint8(150)
    noisy = disc + np.random.default_rng(0).integers(30, 60, disc.shape, np.uint8)
    group = zarr.open_group(tmp_path / "disc.zarr", mode="w", zarr_format=2)
    levels = []
    for number, step in enumerate((1, 2, 4)):
        level = np.ascontiguousarray(noisy[None, ::step, ::step])
        array = group.create_array(
            str(number), shape=level.shape, chunks=(1, 256, 256), dtype="u1"
        )
        array[:] = level
        scale = {"type": "scale", "scale": [1, step, step]}
        levels.append({"path": str(number), "coordinateTransformations": [scale]})
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    about = {"version": "0.4", "axes": axes, "datasets": levels}
    group.attrs["multiscales"] = [about]

    stack = open_image(tmp_path / "disc.zarr")
    plane = stack.plane((0,), stack.normalization())
    assert [(factor, p.shape) for factor, p in plane.coarser] == [
        (2, (1025, 1025)),
        (4, (513, 513)),
    ]
    layer = Image([group[str(n)] for n in range(3)], multiscale=True, name="disc")
    source = Source.from_layer(layer)
    other = source.plane((0,), source.normalization("stack"))
    assert [factor for factor, _ in other.coarser] == [2, 4]
    box = (300, 400, 1700, 1800)
    for one in (plane, other):
        object.__setattr__(one, "_paint", None)  # the finest level cannot be read
        embedding = model.encode(one)
        assert embedding.grid.best(box) == embedding.grid.overview
        mask = model.decode(embedding, [ns.Prompt(box=box)])[0].best.full(disc.shape)
        assert (mask & (disc > 0)).sum() > 0.9 * (mask | (disc > 0)).sum()
