"""Objects get new numbers, plane by plane, and the table says which."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.records.ondisk import DiskLabels, numbers_in, relabel
from napari_sam.types import NapariSamError

SHAPE = (3, 600, 520)


@pytest.fixture(params=["memory", "disk"])
def labels(request, tmp_path):
    there = np.zeros(SHAPE, np.uint32)
    for number, at in ((9, 3), (4_000_000_000, 100), (2, 500)):
        there[:2, at : at + 50, at : at + 9] = number
    if request.param == "memory":
        return there
    made = DiskLabels(tmp_path / "l", SHAPE, budget=1)
    made[...] = there
    return made


def test_from_1_without_gaps(labels, tmp_path):
    before = labels[...].copy()
    table = relabel(labels, written=tmp_path / "table.csv")
    assert table == {2: 1, 9: 2, 4_000_000_000: 3}
    for old, new in table.items():
        assert np.array_equal(labels[...] == new, before == old)
    text = (tmp_path / "table.csv").read_text()
    assert text == "old,new\n2,1\n9,2\n4000000000,3\n"
    relabel(labels, {new: old for old, new in table.items()})
    assert np.array_equal(labels[...], before)


def test_numbers_can_change_places(labels):
    before = labels[...].copy()
    assert relabel(labels, {2: 9, 9: 2, 77: 5}) == {2: 9, 9: 2}
    assert np.array_equal(labels[...] == 2, before == 9)
    assert np.array_equal(labels[...] == 9, before == 2)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({2: 9}, "objects 2 and 9 would both become number 9"),
        ({2: 0}, "object 2 cannot become number 0"),
        ({2: 2**32}, "cannot become number 4294967296"),
    ],
)
def test_what_would_lose_objects_is_refused(labels, table, says, tmp_path):
    before = labels[...].copy()
    with pytest.raises(NapariSamError, match=says):
        relabel(labels, table, written=tmp_path / "table.csv")
    assert np.array_equal(labels[...], before)
    assert not (tmp_path / "table.csv").exists()


def test_counts_and_progress(labels):
    seen = []
    counts = numbers_in(labels, lambda done, of: seen.append((done, of)))
    assert counts == {2: 900, 9: 900, 4_000_000_000: 900}
    assert seen == [(1, 3), (2, 3), (3, 3)]


@given(st.lists(st.integers(-3, 9), min_size=4, max_size=4))
def test_no_two_become_one(values):
    labels = np.array(values).reshape(2, 2)
    before = labels.copy()
    relabel(labels)
    above = labels[labels > 0]
    assert set(above) == set(range(1, len(set(above)) + 1))
    assert np.array_equal(labels[before <= 0], before[before <= 0])
    same = before[:, :, None, None] == before
    assert np.array_equal(labels[:, :, None, None] == labels, same)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_in_much_less_memory_than_the_array_takes(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from napari_sam.records.ondisk import DiskLabels, relabel

        def anonymous():
            lines = Path("/proc/self/status").read_text().splitlines()
            return int(next(l for l in lines if l.startswith("RssAnon")).split()[1])

        labels = DiskLabels(sys.argv[1], (300, 1024, 1024), budget=16 * 2**20)
        before, most = anonymous(), 0
        def watch(done, of):
            global most
            most = max(most, anonymous() - before)
        for z in range(300):
            labels[z, 10:900, 10:900] = 5 * z + 5
            watch(0, 0)
        table = relabel(labels, progress=watch)
        assert len(table) == 300, len(table)
        assert (labels[299, 10:900, 10:900] == 300).all()
        assert labels.close()
        print(labels.nbytes // 1024, most)
    """
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "l")],
        capture_output=True,
        text=True,
        check=True,
    )
    whole, most = map(int, run.stdout.split())
    assert whole > 1_200_000  # kB
    assert most < 150_000
