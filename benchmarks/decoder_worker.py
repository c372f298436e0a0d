"""One contender of `decoder.py` or `family.py`, in a process of its own.

    python decoder_worker.py NAME ARCHITECTURE CHECKPOINT PLANE THREADS

Encodes the plane once, then answers lines of standard input, "boxes FILE.npy BATCH",
"click Y X", "encode" (the plane again) and "stack FILE.npy" (encode its planes and keep
what comes of each), with one line of JSON each: seconds, and the memory above that
before the call at its highest (MB). Whatever a contender prints itself goes to standard
error. Imports nothing of ours for the others: they may run in other environments.
`family_worker.py` has those that only `family.py` asks.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")


class Ours:
    """The model as everyone uses it."""

    def __init__(self, architecture, checkpoint, plane):
        import napari_sam as ns

        self._prompt = ns.Prompt
        self._model, self._plane = self.load(architecture, checkpoint), plane
        self.encode()

    def load(self, architecture, checkpoint):
        """Return the model."""
        import napari_sam as ns

        return ns.load_model(checkpoint, device="cpu")

    def encode(self):
        """Encode the plane."""
        self._embedding = self._model.encode(self._plane)

    def stack(self, planes):
        """Encode planes (Z, H, W, 3); return what is to be kept."""
        from napari_sam.images import make_plane

        return self._model.encode_batch([make_plane(plane) for plane in planes])

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4); return the number of masks."""
        prompts = [self._prompt(box=box) for box in boxes]
        return len(self._model.decode(self._embedding, prompts))

    def click(self, y, x):
        """Answer one click."""
        self._model.decode(self._embedding, [self._prompt(points=[(y, x)])])


class Meta:
    """The authors' predictor: `predict_torch` for boxes, `predict` for a click."""

    def __init__(self, architecture, checkpoint, plane):
        if architecture == "vit_t":
            from mobile_sam import SamPredictor, sam_model_registry
        else:
            from segment_anything import SamPredictor, sam_model_registry
        sam = sam_model_registry[architecture](checkpoint=checkpoint).eval()
        self._predictor, self._plane = SamPredictor(sam), plane
        self.encode()

    def encode(self):
        """Encode the plane."""
        self._predictor.set_image(self._plane)

    def stack(self, planes):
        """Encode planes (Z, H, W, 3); return what is to be kept."""
        kept = []
        for plane in planes:
            self._predictor.set_image(plane)
            kept.append(self._predictor.features)
        return kept

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4); return the number of masks."""
        import torch

        predictor, count = self._predictor, 0
        xyxy = torch.from_numpy(boxes[:, [1, 0, 3, 2]])
        xyxy = predictor.transform.apply_boxes_torch(xyxy, predictor.original_size)
        for part in xyxy.split(batch):
            masks, *_ = predictor.predict_torch(
                None, None, part, multimask_output=False
            )
            count += len(masks)
        return count

    def click(self, y, x):
        """Answer one click."""
        self._predictor.predict(np.array([[x, y]]), np.array([1]))


class Meta2:
    """The authors' image predictor of SAM 2."""

    def __init__(self, architecture, checkpoint, plane):
        import torch
        from sam2.build_sam import build_sam2
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        folder = architecture.partition("_")[0]
        sam = build_sam2(f"configs/{folder}/{architecture}.yaml", None, device="cpu")
        sam.load_state_dict(torch.load(checkpoint, weights_only=True))
        self._predictor, self._plane = SAM2ImagePredictor(sam), plane
        self.encode()

    def encode(self):
        """Encode the plane."""
        self._predictor.set_image(self._plane)

    def stack(self, planes):
        """Encode planes (Z, H, W, 3); return what is to be kept."""
        kept = []
        for plane in planes:
            self._predictor.set_image(plane)
            kept.append(self._predictor._features)
        return kept

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4); return the number of masks."""
        count = 0
        for start in range(0, len(boxes), batch):
            part = boxes[start : start + batch, [1, 0, 3, 2]]
            masks, *_ = self._predictor.predict(box=part, multimask_output=False)
            count += len(masks)
        return count

    def click(self, y, x):
        """Answer one click."""
        self._predictor.predict(np.array([[x, y]]), np.array([1]))


class Ultralytics:
    """Its predictor after `set_image`."""

    def __init__(self, architecture, checkpoint, plane):
        import torch
        from ultralytics.models.sam import Predictor, SAM2Predictor, build

        makers = {"vit_t": build.build_mobile_sam, "vit_b": build.build_sam_vit_b}
        sam = makers.get(architecture, build.build_sam2_t)(None)
        weights = torch.load(checkpoint, weights_only=True)
        # What 2.1 has more is not used on images.
        sam.load_state_dict(weights, strict=architecture in makers)
        kind = Predictor if architecture in makers else SAM2Predictor
        self._predictor = kind(
            overrides={"imgsz": 1024, "save": False, "verbose": False, "device": "cpu"}
        )
        self._predictor.setup_model(sam.eval(), verbose=False)
        self._predictor.set_image(np.ascontiguousarray(plane[..., ::-1]))

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4); return the number of masks."""
        (result,) = self._predictor(bboxes=boxes[:, [1, 0, 3, 2]])
        return len(result)

    def click(self, y, x):
        """Answer one click."""
        self._predictor(points=[[x, y]], labels=[1], multimask_output=True)


class MicroSam:
    """Its `batched_inference`, and `segment_from_points` for a click."""

    def __init__(self, architecture, checkpoint, plane):
        from micro_sam.util import get_sam_model

        self._predictor = get_sam_model(
            architecture, device="cpu", checkpoint_path=checkpoint
        )
        # MobileSAM keeps attention biases from before its weights were loaded.
        self._predictor.model.train().eval()
        self._plane = plane
        self.encode()

    def encode(self):
        """Encode the plane."""
        self._predictor.set_image(self._plane)

    def stack(self, planes):
        """Encode planes (Z, H, W, 3); return what is to be kept."""
        from micro_sam.util import precompute_image_embeddings

        return precompute_image_embeddings(
            self._predictor, planes, ndim=3, verbose=False
        )

    def boxes(self, boxes, batch):
        """Answer boxes (N, 4); return the number of masks."""
        from micro_sam.inference import batched_inference

        found = batched_inference(
            self._predictor,
            image=None,
            batch_size=batch,
            boxes=boxes[:, [1, 0, 3, 2]],
            return_instance_segmentation=False,
        )
        return len(found)

    def click(self, y, x):
        """Answer one click."""
        from micro_sam.prompt_based_segmentation import segment_from_points

        segment_from_points(self._predictor, np.array([[y, x]]), np.array([1]))


CONTENDERS = {"ours": Ours, "meta": Meta, "ultralytics": Ultralytics, "micro": MicroSam}


def memory_kb(name):
    """Return one line of the process's status: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def timed(work):
    """Run `work`; return what it returned, its seconds, and how it grew."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before, start = memory_kb("VmRSS"), time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - start
    grown = (memory_kb("VmHWM") - before) / 1024
    count = answer if isinstance(answer, int) else None
    return {"count": count, "seconds": seconds, "peak_mb": grown}


def main(contenders=None):
    """Answer until there are no more lines."""
    name, architecture, checkpoint, plane, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(int(threads))
    make = (CONTENDERS | (contenders or {}))[name]
    if make is Meta and architecture.startswith("sam2"):
        make = Meta2
    contender = make(architecture, checkpoint, np.load(plane))
    torch.set_num_threads(int(threads))  # ultralytics changes it
    print(json.dumps({"torch": torch.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        answer = timed(asked(contender, *line.split()))
        print(json.dumps(answer), file=answers, flush=True)


def asked(contender, what, *words):
    """Return what a line asks for, to be called."""
    if what == "encode":
        return contender.encode
    if what == "stack":
        planes = np.load(words[0])
        return lambda: contender.stack(planes)
    if what == "boxes":
        boxes, batch = np.load(words[0]), int(words[1])
        return lambda: contender.boxes(boxes, batch)
    y, x = map(float, words)
    return lambda: contender.click(y, x)


if __name__ == "__main__":
    main()
