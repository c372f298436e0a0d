"""What the processes do that the tests start."""

import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import tests.models.cache.conftest as shared
import zarr.storage

import napari_sam.models.cache.files as files
from napari_sam.models.cache import EmbeddingCache, Packed

WATCHED = (str(Path(files.__file__).parent), "zipfile")


def watch(at: int) -> list[int]:
    """Count lines of the cache's code, and of the ZIP's; die at one of them."""
    lines = [0]

    def line(frame, event, argument):
        if event == "line":
            lines[0] += 1
            if lines[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return line

    def call(frame, event, argument):
        name = frame.f_code.co_filename
        return line if any(part in name for part in WATCHED) else None

    threading.settrace(call)
    return lines


def write(folder: str, source: str, at: int) -> None:
    """Write what is in a file of arrays under its names; die on the way."""
    with np.load(source) as file:
        arrays = dict(file)
    names = sorted({name.partition(":")[0] for name in arrays})
    zoom = float(arrays.pop("zoom"))
    lines = watch(at)
    cache = EmbeddingCache(folder, limit=int(arrays.pop("limit")))
    for key in names:
        if key not in ("zoom", "limit"):
            own = {n.partition(":")[2]: a for n, a in arrays.items() if key in n}
            cache.put(key, Packed(own, {"zoom": zoom}))
    cache.close()
    print(lines[0])


def write_killed(folder: str, source: str, *points: str) -> None:
    """Start a process for every point; each goes on in the folder of the last."""
    assert zarr.storage  # loaded once for all
    for point in points:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            write(folder, source, int(point))
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def churn(folder: str, seed: str, turns: str, limit: str) -> None:
    """Read and write at random, and see that nothing wrong is read."""
    told: list[str] = []
    cache = EmbeddingCache(folder, limit=int(limit), told=told.append)
    choose = random.Random(int(seed))
    found = 0
    for turn in range(int(turns)):
        number = choose.randrange(12)
        key = f"{number:02x}" * 20
        packed = cache.get(key)
        if packed is None:
            cache.put(key, shared.packed_of(number))
        else:
            assert shared.equal(packed, shared.packed_of(number)), number
            found += 1
        if turn % 50 == 49:
            cache.close()
            cache.empty() if choose.random() < 0.2 else cache._files.look()
    cache.close()
    assert told == [], told
    print(found)


def no_space(folder: str, most: str) -> None:
    """Put two entries where files cannot become large."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    put_two(folder)


def nobody(folder: str) -> None:
    """Put two entries as a user who may not."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    put_two(folder)


def put_two(folder: str) -> None:
    cache = EmbeddingCache(folder, told=lambda line: os.write(2, f"{line}\n".encode()))
    for number in (1, 2):
        assert cache.get(f"{number:040x}") is None
        if cache.takes(1.0):
            cache.put(f"{number:040x}", shared.packed_of(number))
        cache.close()
    os.write(2, b"went on\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
