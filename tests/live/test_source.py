import numpy as np
import pytest
from napari.layers import Image

from napari_sam.live.source import Source, stack_letters
from napari_sam.types import ImageError


@pytest.mark.parametrize(
    ("names", "letters"),
    [
        ((), ""),
        (("-3",), "Z"),
        (("t",), "T"),
        (("time", "-3"), "TZ"),
        (("-4", "-3"), "TZ"),
        (("z", "t"), "ZT"),
        (("z", "z"), "ZT"),
        (("channel", "-4", "-3"), "PTZ"),
    ],
)
def test_every_stack_axis_gets_a_letter_of_its_own(names, letters):
    assert stack_letters(names) == letters


def test_more_axes_than_letters_are_refused():
    with pytest.raises(ImageError, match="too many"):
        stack_letters(["?"] * 8)


# napari divides by the lengths of the axes, and refuses other empty shapes itself.
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("shape", [(0, 6, 7), (2, 0, 6, 7)])
def test_an_image_without_pixels_is_refused(shape):
    empty = Image(np.zeros(shape, np.uint8), name="empty", contrast_limits=(0, 1))
    with pytest.raises(ImageError, match=r'"empty" has no pixels'):
        Source.from_layer(empty)


def test_a_stack_is_read_plane_by_plane(frames):
    source = Source.from_layer(Image(frames, axis_labels=("t", "y", "x")))
    assert (source.shape, source.stack_axes, len(source)) == (frames.shape, "T", 4)
    assert np.array_equal(source.read((2,)), frames[2])
    normalization = source.normalization("stack")
    plane = source.plane((2,), normalization)
    assert (plane.index, plane.shape) == ((2,), frames.shape[1:])
    assert plane.normalization == normalization


def test_colour_is_not_an_axis_of_the_stack():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    source = Source.from_layer(Image(pixels, rgb=True))
    assert (source.shape, source.stack_axes) == ((3, 20, 30), "Z")
    plane = source.plane((1,), source.normalization("stack"))
    assert np.array_equal(plane.pixels, pixels[1])


def test_of_a_pyramid_the_full_resolution_counts():
    full = np.random.default_rng(0).random((64, 64))
    source = Source.from_layer(Image([full, full[::2, ::2]], multiscale=True))
    assert source.shape == (64, 64)
    assert np.array_equal(source.read(()), full)


def test_only_what_is_asked_for_is_read():
    class Lazy:
        shape, dtype, ndim = (5, 8, 9), np.dtype(np.uint8), 3
        asked: list[tuple[int, ...]] = []  # noqa: RUF012

        def __getitem__(self, key):
            self.asked.append(key)
            return np.zeros((8, 9), np.uint8)

    source = Source(Lazy(), "lazy", (5, 8, 9), "Z", False)
    source.read((3,))
    assert Lazy.asked == [(3,)]


def test_a_plane_that_cannot_be_read_is_named():
    class Broken:
        def __getitem__(self, key):
            raise OSError("the disk is gone")

    source = Source(Broken(), "far away", (5, 8, 9), "Z", False)
    with pytest.raises(ImageError, match=r'"far away" at \(3\) .*the disk is gone'):
        source.read((3,))


def test_other_pixels_in_a_layer_are_noticed(frames):
    layer = Image(frames)
    source = Source.from_layer(layer)
    assert source.holds(layer)
    layer.data = frames.copy()
    assert not source.holds(layer)


def test_as_a_stack_of_the_other_rooms(frames):
    stack = Source.from_layer(Image(frames, axis_labels=("t", "y", "x"))).stack()
    assert (stack.axes, stack.stack_shape) == ("TYX", (4,))
    assert np.array_equal(stack.read((1,)), frames[1])


def test_an_axis_that_other_rooms_do_not_know_is_said():
    source = Source(np.zeros((2, 2, 2, 8, 9)), "big", (2, 2, 2, 8, 9), "PTZ", False)
    with pytest.raises(ImageError, match="more axes than time and depth"):
        source.stack()


def test_several_images_become_the_channels_of_one(frames):
    nuclei = Source.from_layer(Image(frames, name="nuclei"))
    other = Source.from_layer(Image(frames[:, ::-1] // 3, name="b"))
    seen = nuclei.seen([other])
    pixels = seen.read((1,))
    assert pixels.shape == (*frames.shape[1:], 2)
    assert np.array_equal(pixels[..., 0], frames[1])
    assert np.array_equal(pixels[..., 1], frames[1, ::-1] // 3)
    (first, second) = seen.contrast().ranges
    assert np.allclose(3 * np.array(second), first, atol=3)  # each has its own
    plane = seen.plane((1,), seen.contrast())
    mirrored = plane.pixels[::-1, :, 0].astype(int)
    assert np.abs(plane.pixels[..., 1] - mirrored).max() <= 1
    assert not plane.pixels[..., 2].any()


def test_contrast_is_measured_or_said(frames):
    source = Source.from_layer(Image(frames, name="nuclei"))
    assert source.contrast() == source.normalization("stack")
    assert source.seen(mode="plane").contrast().ranges is None
    assert source.seen(ranges=[(10.0, 90.0)]).contrast().ranges == ((10.0, 90.0),)


def test_channels_that_do_not_fit_are_refused(frames):
    source = Source.from_layer(Image(frames, name="nuclei"))
    short = Source.from_layer(Image(frames[:2], name="short"))
    with pytest.raises(ImageError, match=r'"short" cannot be a channel beside "nuc'):
        source.seen([short])
    with pytest.raises(ImageError, match="3 are the most"):
        source.seen([source, source, source])
    colour = Source.from_layer(Image(np.zeros((4, 5, 3), np.uint8), rgb=True, name="c"))
    with pytest.raises(ImageError, match="it is in colour"):
        colour.seen([source])


def test_slices_that_cannot_be_read_do_not_count_for_the_contrast(frames):
    class Spoiled:
        bad = (1,)

        def __getitem__(self, key):
            if key in [(n,) for n in self.bad]:
                raise OSError("rubbish")
            return frames[key]

    data = Spoiled()
    source = Source(data, "spoiled", frames.shape, "Z", False)
    others = frames[[0, 2, 3]]
    assert source.contrast() == Source(others, "", others.shape, "Z", False).contrast()
    data.bad = (0, 1, 2, 3)
    with pytest.raises(ImageError, match=r"at \(0\) cannot be read \(rubbish\)"):
        source.contrast()


def test_pixels_of_another_shape_are_refused(frames):
    class Replaced:
        def __getitem__(self, key):
            return frames[key][..., :30]

    source = Source(Replaced(), "replaced", frames.shape, "Z", False)
    with pytest.raises(ImageError, match=r"at \(2\) are 96 × 30 now, not 96 × 112"):
        source.read((2,))
