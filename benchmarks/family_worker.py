"""Contenders that only `family.py` asks; the others are in `decoder_worker.py`.

Imports nothing of ours for the others: they may run in other environments.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
from decoder_worker import Meta2, Ours, main

# As `sam3_parity.py`: with random weights, and some of the encoder's 32 blocks.
EVERY = 8  # block that sees everything
FASTSAM = {"conf": 0.5, "iou": 0.9, "max_det": 200}


def cut(whole, blocks, **options):
    """Build SAM 3's encoder with fewer blocks."""
    seeing = tuple(range(min(EVERY, blocks) - 1, blocks, EVERY))
    return whole(**{**options, "depth": blocks, "global_att_blocks": seeing})


class OurFamily(Ours):
    """The model as everyone uses it, of any family."""

    def load(self, architecture, checkpoint):
        """Return the model."""
        if architecture == "fastsam":
            from napari_sam.models.fastsam.model import FastSamModel
            from napari_sam.models.options import DetectorOptions
            from napari_sam.models.yolo.loading import load_yolo

            options = DetectorOptions(**FASTSAM)
            return FastSamModel(load_yolo(Path(checkpoint), options, device="cpu"))
        if architecture.startswith("sam3"):
            from napari_sam.models.ultra import load_ultralytics

            builders = load_ultralytics("ultralytics.models.sam.build_sam3")
            builders.ViT = partial(cut, builders.ViT, int(architecture[5:]))
        return super().load(architecture, checkpoint)


class Meta3(Meta2):
    """The authors' image predictor of SAM 3."""

    def __init__(self, architecture, checkpoint, plane):
        import torch
        from sam3 import model_builder
        from sam3.model.sam1_task_predictor import SAM3InteractiveImagePredictor

        model_builder.ViT = partial(cut, model_builder.ViT, int(architecture[5:]))
        zeros = torch.zeros

        def on_cpu(*size, **options):
            options.pop("device", None)
            return zeros(*size, **options)

        torch.zeros = on_cpu  # it asks for "cuda" whatever there is
        try:
            sam = model_builder.build_tracker(False, with_backbone=True)
            neck = model_builder._create_vision_backbone(enable_inst_interactivity=True)
        finally:
            torch.zeros = zeros
        sam.backbone.vision_backbone = neck
        weights = {}
        for name, tensor in torch.load(checkpoint, weights_only=True).items():
            inside = name.removeprefix("detector.").removeprefix("tracker.")
            weights[inside] = tensor
        wrong = sam.load_state_dict(weights, strict=False)
        missing = [n for n in wrong.missing_keys if not n.endswith("freqs_cis")]
        assert not missing and not wrong.unexpected_keys, wrong
        self._predictor = SAM3InteractiveImagePredictor(sam.eval(), max_hole_area=0.0)
        self._plane = plane
        self.encode()


class FastSam:
    """Ultralytics' FastSAM: everything is outlined once, prompts choose among it."""

    def __init__(self, architecture, checkpoint, plane):
        from ultralytics import FastSAM

        named = Path(checkpoint).with_name("FastSAM-s.pt")  # it goes by the name
        shutil.copy(checkpoint, named)
        self._model, self._plane = FastSAM(str(named)), plane
        self.encode()

    def outline(self, plane):
        """Outline everything."""
        image = np.ascontiguousarray(plane[..., ::-1])
        return self._model.predict(
            image,
            device="cpu",
            imgsz=640,
            retina_masks=True,
            save=False,
            verbose=False,
            **FASTSAM,
        )

    def encode(self):
        """Encode the plane."""
        self._found = self.outline(self._plane)

    def stack(self, planes):
        """Encode planes (Z, H, W, 3); return what is to be kept."""
        return [self.outline(plane) for plane in planes]

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4): it returns each mask once, however many are asked."""
        self._model.predictor.prompt(self._found, bboxes=boxes[:, [1, 0, 3, 2]])
        return len(boxes)

    def click(self, y, x):
        """Answer one click."""
        self._model.predictor.prompt(self._found, points=[[x, y]], labels=[1])


if __name__ == "__main__":
    main({"ours": OurFamily, "meta3": Meta3, "fastsam": FastSam})
