"""Records of what was found, read back."""

import numpy as np
import pytest

from napari_sam.live.proposals.finding import Finder
from napari_sam.live.proposals.found import Filters
from napari_sam.live.proposals.where import Where, outward
from napari_sam.records.sa1b import read_sa1b


@pytest.fixture
def found(pump, opened, frames):
    finder = Finder(opened, pump.post, lambda: None)
    finder.find("nuclei", Where(outward((0,), frames.shape[:1])))
    pump.until(lambda: finder.state.phase == "found")
    yield finder
    finder.close()


def saved(pump, finder, folder):
    told = []
    finder.save(folder, told.append, told.append)
    pump.until(lambda: told)
    return told[0]


def test_records_say_what_was_found(pump, found, tmp_path, frames):
    found.filter(Filters(border=False))
    pump.until(lambda: found.counted)
    assert saved(pump, found, tmp_path) == found.total.objects > 0
    files = sorted((tmp_path / "sa1b" / "nuclei").iterdir())
    assert [file.name for file in files] == [f"t{t:04d}.json" for t in range(4)]
    for file, work in zip(files, found.each(), strict=True):
        record, ours = read_sa1b(file), work()
        assert (record.image, record.shape) == ("nuclei", frames.shape[1:])
        assert len(record.masks) == len(ours.masks) > 0
        for theirs, mask, point in zip(
            record.masks, ours.masks, record.points, strict=True
        ):
            assert theirs.box == mask.box
            np.testing.assert_array_equal(theirs.data, mask.data)
            assert theirs.score == pytest.approx(mask.score)
            assert theirs.stability == pytest.approx(mask.stability)
            y, x = (point - mask.box[:2]).astype(int)
            assert mask.data[y, x]


def test_records_that_are_there_stay(pump, found, tmp_path):
    saved(pump, found, tmp_path)
    (first, *_) = files = sorted((tmp_path / "sa1b" / "nuclei").iterdir())
    before = [file.read_bytes() for file in files]
    assert "is there already" in saved(pump, found, tmp_path)
    assert [file.read_bytes() for file in files] == before
    first.unlink()
    assert "is there already" in saved(pump, found, tmp_path)
