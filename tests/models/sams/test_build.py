"""The tensors decide what is built, and only exactly fitting ones are taken."""

from __future__ import annotations

import numpy as np
import pytest
import segment_anything
import torch

from napari_sam.models.sam1.architecture import Architecture, detect
from napari_sam.models.sam1.build import build, empty
from napari_sam.types import ModelError

PROJECTION = "image_encoder.patch_embed.proj.weight"


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_metas_checkpoints_fit_key_for_key(name):
    with torch.device("meta"):
        theirs = segment_anything.sam_model_registry[name]().state_dict()
    assert detect(theirs) is Architecture(name)
    ours = empty(Architecture(name)).state_dict()
    assert {k: t.shape for k, t in ours.items()} == {
        k: t.shape for k, t in theirs.items()
    }


def test_mobile_sams_checkpoint_fits_key_for_key(mobile_state):
    state, _ = mobile_state
    assert detect(state) is Architecture.VIT_T
    ours = empty(Architecture.VIT_T).state_dict()
    assert {k: t.shape for k, t in ours.items()} == {
        k: t.shape for k, t in state.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {PROJECTION: (384, 3, 16, 16)},  # EfficientSAM
        {PROJECTION: (768, 1, 16, 16)},
        {PROJECTION: (768,)},
        {PROJECTION: None},
        {"mask_decoder.iou_token.weight": None},  # an encoder alone
        {PROJECTION: None, "image_encoder.patch_embed.seq.0.c.weight": (64, 3, 3, 3)},
        {
            PROJECTION: None,
            "image_encoder.trunk.patch_embed.proj.weight": (96, 3, 7, 7),
        },
    ],
)
def test_other_networks_are_not_taken_for_sam(changes):
    shapes = {
        PROJECTION: (768, 3, 16, 16),
        "mask_decoder.iou_token.weight": (1, 256),
    }
    sam = {name: np.empty(shape) for name, shape in shapes.items()}
    assert detect(sam) is Architecture.VIT_B
    for name, shape in changes.items():
        sam.pop(name, None)
        if shape is not None:
            sam[name] = np.empty(shape)
    assert detect(sam) is None
    assert detect({}) is None


def test_mobile_sams_attention_uses_the_loaded_biases(mobile_state):
    state, _ = mobile_state
    network = build(Architecture.VIT_T, state)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    attention = network.image_encoder.layers[1].blocks[0].attn
    expected = state["image_encoder.layers.1.blocks.0.attn.attention_biases"]
    torch.testing.assert_close(
        attention.ab, expected[:, attention.attention_bias_idxs], rtol=0, atol=0
    )


def test_half_precision_checkpoints_run_in_single(mobile_state):
    state, _ = mobile_state
    half = {k: t.half() if t.is_floating_point() else t for k, t in state.items()}
    network = build(Architecture.VIT_T, half)
    kinds = {p.dtype for p in network.parameters()}
    assert kinds == {torch.float32}
    assert half["mask_decoder.iou_token.weight"].dtype == torch.float16


def test_tables_that_some_files_carry_are_left_out(mobile_state):
    state, _ = mobile_state
    table = "image_encoder.layers.1.blocks.0.attn.attention_bias_idxs"
    build(Architecture.VIT_T, {**state, table: torch.zeros(49, 49)})


def test_building_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    empty(Architecture.VIT_T)
    torch.testing.assert_close(torch.rand(4), expected)


def test_errors_name_the_file_and_the_tensors(mobile_state):
    state, _ = mobile_state
    partial = {k: t for k, t in state.items() if not k.startswith("prompt_encoder")}
    with pytest.raises(ModelError, match=r"x\.pt: .*vit_t.* more are missing; "):
        build(Architecture.VIT_T, partial, source="x.pt")
    more = {**state, "mask_decoder.hf_token.weight": torch.zeros(1, 256)}
    with pytest.raises(ModelError, match=r'"mask_decoder\.hf_token\.weight" is not'):
        build(Architecture.VIT_T, more)
    wrong = {**state, "mask_decoder.iou_token.weight": torch.zeros(1, 128)}
    with pytest.raises(ModelError, match=r"\(1, 128\) instead of \(1, 256\)"):
        build(Architecture.VIT_T, wrong)
