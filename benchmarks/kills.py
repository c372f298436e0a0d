"""Kill a run again and again, and see that nothing is lost or done twice.

Real processes of `napari-sam annotate` are killed with SIGKILL at steps of the write
protocol (before and after each flush, rename and entry in the ledger), spread over the
whole job.
Labels and the object table must equal those of an undisturbed run, and only a plane
that was in flight may be computed twice. POSIX only.

    python benchmarks/kills.py                         # 200 planes, 100 kills: minutes
    python benchmarks/kills.py --planes 12 --kills 4   # a quick look

Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from skimage.draw import disk

# The real command line. Each step is counted; at the last one allowed it dies.
CHILD = """
import os, pathlib, signal
from napari_sam.cli import main
from napari_sam.records import ledger, one
left = int(os.environ["KILL_AT"])
log_flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
log = os.open(os.environ["KILL_LOG"], log_flags)
def note(line):
    os.write(log, (line + chr(10)).encode())
def step(name):
    global left
    left -= 1
    if left == 0:
        note("killed " + name)
        os.kill(os.getpid(), signal.SIGKILL)
    note("step " + name)
def watched(owner, name):
    plain = getattr(owner, name)
    def call(*args, **more):
        step("before " + name)
        answer = plain(*args, **more)
        step("after " + name)
        return answer
    setattr(owner, name, call)
watched(os, "fsync")
watched(pathlib.Path, "replace")
watched(ledger.Ledger, "_note")
compute = one._Job._compute
def computed(self, number, *args, **more):
    note(f"plane {self.item.relative} {number}")
    return compute(self, number, *args, **more)
one._Job._compute = computed
main()
"""


def main() -> int:
    """Run the job undisturbed, then with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), options.planes, options.kills)


def compare(folder: Path, planes: int, kills: int) -> int:
    """Return 1 where the killed job differs from the undisturbed one."""
    write_images(folder / "in", planes)
    annotate(folder, "straight", 0)
    straight = read_log(folder, "straight")
    steps = sum(line.startswith("step") for line in straight)
    # Each child does its share and one step more or less, so that all kinds are hit.
    share, died = max(2, steps // kills), 0
    while died < kills:
        code = annotate(folder, "killed", max(2, share + died % 5 - 2))
        if code == 0:
            break
        died += 1
    while annotate(folder, "killed", 0) != 0:
        died += 1
    log = read_log(folder, "killed")
    where = collections.Counter(x[7:] for x in log if x.startswith("killed"))
    print(f"{died} kills over {steps} steps: {dict(where)}")
    return int(not same(folder) or not once(log, planes))


def once(log: list[str], planes: int) -> bool:
    """Whether only planes that were in flight at a kill were computed twice."""
    counts = collections.Counter(x for x in log if x.startswith("plane"))
    flying: collections.Counter[str] = collections.Counter()
    last = ""
    for line in log:
        if line.startswith("plane"):
            last = line
        elif line == "step after replace":  # the file of the plane is there
            last = ""
        elif line.startswith("killed"):
            flying[last] += line != "killed after replace"
            last = ""
    wrong = [name for name, n in counts.items() if n > 1 + flying[name]]
    twice = sum(counts.values()) - len(counts)
    print(f"{len(counts)} of {planes} planes computed, {twice} again, wrong: {wrong}")
    return len(counts) == planes and not wrong


def same(folder: Path) -> bool:
    """Whether labels and table equal those of the undisturbed run."""
    one, other = folder / "straight", folder / "killed"
    names = sorted(path.name for path in (one / "labels").iterdir())
    equal = names == sorted(path.name for path in (other / "labels").iterdir())
    for name in names:
        pair = (tifffile.imread(at / "labels" / name) for at in (one, other))
        equal &= np.array_equal(*pair)
    tables = [(at / "objects.csv").read_bytes() for at in (one, other)]
    equal &= tables[0] == tables[1]
    print(
        f"{len(names)} label files and the table: {'equal' if equal else 'DIFFERENT'}"
    )
    return bool(equal)


def annotate(folder: Path, name: str, kill_at: int) -> int:
    """Run the command line, which dies at a step; return its exit code."""
    command = ["annotate", str(folder / "in"), "--output", str(folder / name)]
    command += ["--detector", "threshold", "--device", "cpu", "--link", "stack"]
    surroundings = {
        **os.environ,
        "KILL_AT": str(kill_at),
        "KILL_LOG": str(folder / f"{name}.log"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *command],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, -9):
        raise SystemExit(done.stderr)
    return done.returncode


def read_log(folder: Path, name: str) -> list[str]:
    """Return what the processes of a job noted."""
    return (folder / f"{name}.log").read_text().splitlines()


def write_images(folder: Path, planes: int) -> None:
    """Write one long stack and single planes, with three discs on each plane."""
    folder.mkdir()
    random = np.random.default_rng(0)
    stack = random.integers(90, 110, (planes, 64, 64)).astype(np.uint16)
    for y, x in ((16, 16), (20, 44), (46, 30)):
        stack[:, *disk((y, x), 8)] += 900
    half = planes // 2
    tifffile.imwrite(
        folder / "stack.tif", stack[:half], imagej=True, metadata={"axes": "ZYX"}
    )
    for number in range(half, planes):
        tifffile.imwrite(folder / f"one{number:04d}.tif", stack[number])


if __name__ == "__main__":
    sys.exit(main())
