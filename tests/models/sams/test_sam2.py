"""SAM 2's files are known by their tensors, and only fitting ones are taken."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import napari_sam as ns
from napari_sam.models.lane import Priority, acquire
from napari_sam.models.sam2.architecture import Architecture, Size, detect
from napari_sam.models.sam2.build import build, empty
from napari_sam.types import ModelError

NAMES = {"t": Size.TINY, "s": Size.SMALL, "b+": Size.BASE_PLUS, "l": Size.LARGE}
PATCH = "image_encoder.trunk.patch_embed.proj.weight"


@pytest.mark.parametrize("version", ["2", "2.1"])
@pytest.mark.parametrize("size", NAMES)
def test_metas_checkpoints_fit_key_for_key(metas, version, size):
    theirs = metas(f"sam{version}_hiera_{size}").state_dict()
    architecture = Architecture(NAMES[size], version == "2.1")
    assert detect(theirs) == architecture
    assert architecture.name == f"sam{version}_hiera_{NAMES[size].value}"
    ours = empty(architecture).state_dict()
    assert {k: t.shape for k, t in ours.items()} == {
        k: t.shape for k, t in theirs.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {PATCH: (64, 3, 7, 7)},
        {PATCH: ()},
        {PATCH: None},
        {"sam_mask_decoder.iou_token.weight": None},
        {"image_encoder.trunk.blocks.12.norm1.weight": (96,)},
    ],
)
def test_other_networks_are_not_taken_for_sam_2(changes):
    shapes = {PATCH: (96, 3, 7, 7), "sam_mask_decoder.iou_token.weight": (1, 256)}
    for i in range(12):
        shapes[f"image_encoder.trunk.blocks.{i}.norm1.weight"] = (96,)
    known = {name: np.empty(shape) for name, shape in shapes.items()}
    assert detect(known) == Architecture(Size.TINY, newer=False)
    for name, shape in changes.items():
        known.pop(name, None)
        if shape is not None:
            known[name] = np.empty(shape)
    assert detect(known) is None


@pytest.mark.parametrize("layout", ["flat", "model", "safetensors"])
def test_a_file_of_any_layout_and_name_is_loaded(tiny, planes, tmp_path, layout):
    state = {k: t.clone() for k, t in tiny.theirs.state_dict().items()}
    path = tmp_path / ("weights.safetensors" if layout == "safetensors" else "mine.pt")
    if layout == "safetensors":
        save_file(state, path)
    else:
        torch.save(state if layout == "flat" else {"model": state}, path)
    model = ns.load_model(path, device="cpu")
    assert model.info.version == "sam2.1_hiera_tiny"
    embedding, _ = tiny.see(planes["wide"])
    prompt = ns.Prompt(box=(20, 100, 90, 300))
    (expected,) = tiny.ours.decode(embedding, [prompt])
    # The same weights are the same model; what differs is the file's hash.
    again = ns.Embedding(model.info.sha256, embedding.shape, embedding.tiles)
    (answer,) = model.decode(again, [prompt])
    assert np.array_equal(answer.best.data, expected.best.data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("no_mem_embed"), "missing"),
        (lambda s: s.update(adapter=torch.zeros(3)), "not part of it"),
        (lambda s: s.update(no_mem_embed=torch.zeros(1, 1, 3)), "instead of"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tiny, change, words):
    state = dict(tiny.theirs.state_dict())
    change(state)
    with pytest.raises(ModelError, match=words):
        build(Architecture(Size.TINY, newer=True), state, source="mine.pt")


def test_encoding_ends_between_two_blocks(tiny, planes):
    blocks = list(tiny.ours._encoder._network.image_encoder.trunk.blocks)
    posted, told, seen, requests = queue.Queue(), [], [], []
    submitted = threading.Event()

    def count(*_):
        seen.append(1)
        if len(seen) == 3:
            requests[0].cancel()

    def work():
        assert submitted.wait(60)
        tiny.ours.encode(planes["tall"])
        told.append("went on")

    hooks = [block.register_forward_hook(count) for block in blocks]
    lane = acquire(owner="test", post=posted.put)
    try:
        requests.append(
            lane.submit(
                work,
                slot="work",
                priority=Priority.BATCH,
                cancelled=lambda: told.append("cancelled"),
            )
        )
        submitted.set()
        while not lane.idle:
            posted.get(timeout=60)()
    finally:
        for hook in hooks:
            hook.remove()
        lane.close(60)
    assert told == ["cancelled"]
    assert len(seen) == 3
