"""µSAM's own decoder: as in torch-em, strictly loaded, and its masks are the answer.

That all of it equals micro-sam's code on whole networks is for
benchmarks/micro_sam_parity.py, which needs an environment of its own.
"""

import numpy as np
import pytest
import tifffile
import torch
from tests.models.musam.make_fixture import FILE, WIDTH, features, seeded
from typer.testing import CliRunner

from napari_sam import annotate, load_detector, load_model
from napari_sam.cli import app
from napari_sam.data import FOLDER
from napari_sam.images import make_plane
from napari_sam.models.musam.network import InstanceDecoder, build_instances
from napari_sam.models.musam.watershed import Thresholds, find_instances, masks_of
from napari_sam.models.sam1.architecture import Architecture
from napari_sam.models.sam1.build import empty
from napari_sam.types import ModelError


def decoder_state(*, transposed=False):
    return seeded(InstanceDecoder(WIDTH, transposed=transposed).state_dict())


@pytest.mark.parametrize("transposed", [False, True])
def test_it_answers_as_torch_em(transposed):
    theirs = np.load(FILE)["transposed" if transposed else "interpolated"]
    network = build_instances(decoder_state(transposed=transposed))
    with torch.inference_mode():
        ours = network(features())[0].numpy()
    assert ours.shape == theirs.shape == (3, 64, 80)
    assert theirs.std() > 0.1
    assert np.abs(ours - theirs).max() < 1e-4


def test_a_shifted_channel_would_be_noticed():
    state = decoder_state()
    name = "decoder.blocks.0.block.1.weight"
    state[name] = state[name].roll(1, 1)
    with torch.inference_mode():
        ours = build_instances(state)(features())[0].numpy()
    assert np.abs(ours - np.load(FILE)["interpolated"]).max() > 1e-2


def test_the_encoder_may_be_there_a_second_time():
    state = decoder_state()
    state["encoder.patch_embed.weight"] = torch.zeros(3)
    assert build_instances(state).out_conv.weight.shape == (3, WIDTH, 1, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("base.block.1.weight"), 'tensor "base.block.1.weight" is mis'),
        (lambda s: s.update(more=torch.zeros(2)), 'tensor "more" is not part of it'),
        (
            lambda s: s.update({"out_conv.bias": torch.zeros(2)}),
            r'"out_conv.bias" is \(2,\) instead of \(3,\)',
        ),
    ],
)
def test_wrong_decoders_are_refused(change, words):
    state = decoder_state()
    change(state)
    with pytest.raises(
        ModelError, match=f"mine.pt: this looks like SAM 1 with.*{words}"
    ):
        build_instances(state, source="mine.pt")


def touching():
    """The maps of two discs of 24 pixels that touch, and which pixel is whose."""
    y, x = np.mgrid[:60, :80]
    middles = (30, 28), (30, 51)
    away = np.stack([np.hypot(y - cy, x - cx) for cy, cx in middles])
    near = away.min(0)
    foreground = (near < 12.5).astype(np.float32)
    distance = np.clip(near / 12, 0, 1).astype(np.float32)
    return np.stack([foreground, distance, distance]), away.argmin(0) + 1


def test_touching_objects_are_kept_apart():
    maps, whose = touching()
    labels = find_instances(maps)
    assert labels.dtype == np.uint32
    assert labels.max() == 2
    inside = maps[0] > 0
    assert (labels[inside] == whose[inside]).mean() > 0.98
    assert np.count_nonzero((labels > 0) != inside) < 0.1 * inside.sum()
    assert find_instances(maps, Thresholds(foreground=1.5)).max() == 0
    one = find_instances(maps, Thresholds(centre=1.1, outline=1.1))
    assert one.max() == 1  # the seeds run together


def test_masks_are_the_labels_the_surest_first():
    maps, _ = touching()
    labels = find_instances(maps)
    maps[0][labels == 2] *= 0.9
    first, second = masks_of(labels, maps[0])
    assert first.score > second.score > 0.5
    for mask, number in ((first, 1), (second, 2)):
        assert np.array_equal(mask.full(labels.shape), labels == number)
    assert masks_of(np.zeros((4, 5), np.uint32), np.zeros((4, 5), np.float32)) == ()


@pytest.fixture(scope="module")
def image():
    whole = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    return whole[0]


@pytest.fixture(scope="module")
def sam():
    return seeded(empty(Architecture.VIT_T).state_dict())


@pytest.fixture(scope="module", params=["exported", "trained"])
def path(request, sam, tmp_path_factory):
    """Write a checkpoint as micro-sam exports it, and as its trainer names tensors."""
    prefix = "sam." if request.param == "trained" else ""
    state = {
        "model_state": {f"{prefix}{key}": tensor for key, tensor in sam.items()},
        "decoder_state": decoder_state(),
    }
    path = tmp_path_factory.mktemp("musam") / f"vit_t_{request.param}.pt"
    torch.save(state, path)
    return path


def test_what_it_outlines_is_what_annotate_gives(path, image):
    model = load_model(path, device="cpu")
    detector = load_detector("own-decoder", model=model, conf=0.0, max_det=5000)
    plane = make_plane(image)
    embedding = model.encode(plane)
    maps = detector.maps(embedding)
    assert maps.shape == (3, *image.shape)
    labels = find_instances(maps)
    assert labels.max() > 3
    (found,) = detector.detect([plane])
    assert found.outlined
    assert len(found) == labels.max()
    for mask in found.masks:
        assert len(np.unique(labels[mask.slices][mask.data])) == 1
    annotated, table = annotate(
        image, axes="YX", model=model, detector=detector, min_area=1, max_det=5000
    )
    assert len(table["id"]) == annotated.max()
    both = (annotated > 0) & (labels > 0)
    pairs = np.unique(np.stack([annotated[both], labels[both]]), axis=1)
    assert len(pairs[0]) == len(np.unique(pairs[0])) == annotated.max()


def test_less_sure_objects_can_be_left_out(path, image):
    model = load_model(path, device="cpu")
    plane = make_plane(image)
    every = load_detector("own-decoder", model=model, conf=0.0, max_det=5000)
    (found,) = every.detect([plane])
    middle = float(np.median(found.scores))
    (some,) = load_detector("own-decoder", model=model, conf=middle).detect([plane])
    assert 0 < len(some) < len(found)
    assert some.scores.min() >= middle
    (two,) = load_detector("own-decoder", model=model, max_det=2).detect([plane])
    assert len(two) == len(two.masks) == 2
    assert two.truncated


def test_models_without_a_decoder_say_so(sam, tmp_path, image):
    with pytest.raises(ModelError, match='this is the model "pocket"'):
        load_detector("own-decoder", model=load_model("pocket", device="cpu"))
    with pytest.raises(ModelError, match="this is no model"):
        load_detector("own-decoder")
    bare = tmp_path / "bare.pt"
    torch.save(sam, bare)
    with pytest.raises(ModelError, match=r'this is the model "bare\.pt"'):
        load_detector("own-decoder", model=load_model(bare, device="cpu"))


def test_the_command_line(path, image, tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", image)
    command = ["annotate", str(tmp_path / "one.tif"), "--output", str(tmp_path / "out")]
    chosen = ["--model", str(path), "--detector", "own-decoder", "--device", "cpu"]
    done = CliRunner().invoke(app, [*command, *chosen])
    assert done.exit_code == 0, done.output
    assert tifffile.imread(tmp_path / "out" / "labels" / "one.tif").any()
    wrong = [*command[:3], str(tmp_path / "other"), "--detector", "own-decoder"]
    refused = CliRunner().invoke(app, wrong)
    assert refused.exit_code != 0
    assert "only µSAM's models" in refused.output
