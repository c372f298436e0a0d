"""Several processes at one folder; some are killed, some find the disk full."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from napari_sam import Prompt, load_model
from napari_sam.images import make_plane
from napari_sam.models.cache import EmbeddingCache
from napari_sam.models.tiles import View

ROOT = Path(__file__).parents[3]
POINTS = 30
POSIX = pytest.mark.skipif(os.name == "nt", reason="has no fork and no such limits")


def start(*words, **options):
    command = [sys.executable, "-m", "tests.models.cache.work", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ran(*words):
    process = start(*words)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out.split(), err


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", "cpu")


@POSIX
def test_killed_anywhere_it_never_answers_wrongly(model, frames, folder, tmp_path):
    planes = [make_plane(frame) for frame in frames[:2]]
    prompts = [Prompt(points=[at]) for at in ((33.2, 44.2), (58.6, 10.8), (8.8, 91.2))]
    arrays, zoom = {}, None
    for plane in planes:
        view = View(plane)
        packed = model._pack(model._look(view))
        arrays |= {f"{model._key(view)}:{n}": a for n, a in packed.arrays.items()}
        zoom = packed.facts["zoom"]
    # With room for one only, so that removing is a part of what is interrupted.
    limit = int(1.5 * packed.nbytes)
    source = tmp_path / "source.npz"
    np.savez(source, zoom=zoom, limit=limit, **arrays)
    fresh = [model.decode(model.encode(plane), prompts) for plane in planes]

    def look():
        """See that answers are right, whatever lies in the folder."""
        model.cache = EmbeddingCache(folder)
        for plane, expected in zip(planes, fresh, strict=True):
            found = model.decode(model.encode(plane), prompts)
            for one, other in zip(found, expected, strict=True):
                assert one.best.iou(other.best) > 0.99
        model.cache.close()
        model.cache = None

    lines = int(ran("write", tmp_path / "count", source, 0)[0][-1])
    assert lines > 10 * POINTS
    points = [1 + lines * n // POINTS for n in range(POINTS)]
    half = 0
    for first in range(0, POINTS, 6):
        words, _ = ran("write_killed", folder, source, *points[first : first + 6])
        ends = [int(end) for word, end in pairwise(words) if word == "ended"]
        assert ends == [signal.SIGKILL] * 6
        half += len(list(folder.rglob("*.part")))
        look()
    assert half  # some were killed while they wrote


def test_two_processes_share_a_folder(folder, new_packed):
    limit = 7 * new_packed(1).nbytes
    both = [start("churn", folder, seed, 300, limit) for seed in (1, 2)]
    said = [process.communicate(timeout=240) for process in both]
    for process, (out, err) in zip(both, said, strict=True):
        assert process.returncode == 0, err
        assert int(out) > 0
    cache = EmbeddingCache(folder, limit=limit)
    assert list(folder.rglob("*.part")) == []
    cache.put("ff" * 20, new_packed(1))
    cache.close()
    assert EmbeddingCache(folder).nbytes <= limit


@POSIX
@pytest.mark.parametrize("most", [100, 20_000, 47_000])
def test_a_full_disk_is_told_once_and_nothing_is_left(folder, most):
    _, err = ran("no_space", folder, most)
    said, on = err.splitlines()
    assert said.startswith(f"{folder}: prepared slices cannot be kept there")
    assert "the disk is full" in said
    assert on == "went on"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@POSIX
def test_a_folder_without_permission_is_told_once(folder):
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        word = "nobody"
    else:
        folder.chmod(0o500)
        word = "put_two"
    _, err = ran(word, folder)
    said, on = err.splitlines()
    assert "Permission denied" in said
    assert "check the folder's permissions" in said
    assert on == "went on"


def test_a_file_in_place_of_the_folder_is_told_once(
    folder, new_cache, new_packed, told
):
    folder.write_text("a file")
    cache = new_cache()
    for number in (1, 2):
        assert cache.get(f"{number:040x}") is None
        if cache.takes(1.0):
            cache.put(f"{number:040x}", new_packed(number))
        cache.close()
    (line,) = told
    assert str(folder) in line
    assert line.endswith("Work goes on without")
    assert folder.read_text() == "a file"
