"""The authors' own code with random weights, to compare ours with."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from napari_sam.images import Normalization
from napari_sam.images.normalization import Plane
from napari_sam.models.sam1.architecture import Architecture
from napari_sam.models.sam1.build import build, empty, load
from napari_sam.models.sam1.model import Sam1Model
from napari_sam.models.sam2 import architecture as sam2
from napari_sam.models.sam2.build import build as build2
from napari_sam.models.sam2.model import Sam2Model

with warnings.catch_warnings():
    # timm's old module names, and models that mobile_sam registers again there.
    warnings.filterwarnings("ignore", message="Importing from timm")
    warnings.filterwarnings("ignore", message="Overwriting tiny_vit")
    import mobile_sam
    import segment_anything
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

SHAPES = {
    "square": (300, 300),
    "wide": (137, 420),
    "tall": (512, 201),
    "tiny": (9, 14),
    "large": (3000, 2251),
}


_TABLES = ("point_embeddings", "a_point_embed", "no_mask", "iou_token", "mask_tokens")


def random_state(network: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights at which no layer is degenerate: attention attends, biases count."""
    generator = torch.Generator().manual_seed(seed)

    def noise(shape):
        return torch.randn(shape, generator=generator)

    def values(name, like):
        shape = tuple(like.shape)
        last = name.rsplit(".", 1)[-1]
        if last == "num_batches_tracked":
            return torch.zeros(shape, dtype=like.dtype)
        if last == "running_var":
            return 0.5 + torch.rand(shape, generator=generator)
        if last == "pos_embed":
            return noise(shape) * 0.1
        if last.endswith("gaussian_matrix") or any(part in name for part in _TABLES):
            return noise(shape)
        if last == "weight" and len(shape) > 1:
            fan_in = math.prod(shape[1:])
            sharp = "transformer" in name and ("q_proj" in name or "k_proj" in name)
            return noise(shape) * (2.0 if sharp else 1.0) / math.sqrt(fan_in)
        if last == "weight":
            return 1 + 0.2 * noise(shape)
        return 0.2 * noise(shape)

    return {name: values(name, t) for name, t in network.state_dict().items()}


def make_plane(shape: tuple[int, int], seed: int = 0) -> Plane:
    """Blobs and noise in colour, so that every pixel matters to the encoder."""
    random = np.random.default_rng(seed)
    height, width = shape
    coarse = random.integers(0, 200, (height // 16 + 1, width // 16 + 1, 3))
    pixels = coarse.repeat(16, 0).repeat(16, 1)[:height, :width]
    pixels = (pixels + random.integers(0, 56, (*shape, 3))).astype(np.uint8)
    return Plane(pixels, (), Normalization())


def model_of(network: torch.nn.Module, **options) -> Sam1Model:
    names = {"name": "random", "version": "0", "sha256": "r"}
    return Sam1Model(network, **names, device="cpu", **options)


class Pair:
    """Our model and the authors', having seen the same planes."""

    def __init__(self, ours, theirs, predictor):
        self.ours, self.theirs, self._predictor = ours, theirs, predictor
        self._seen = {}

    def see(self, plane: Plane):
        """Return (our embedding, their predictor) of a plane; encode it once."""
        if id(plane) not in self._seen:
            predictor = self._predictor(self.theirs)
            predictor.set_image(plane.pixels)
            self._seen[id(plane)] = self.ours.encode(plane), predictor
        return self._seen[id(plane)]


@pytest.fixture(scope="session")
def mobile_state():
    """Random weights of MobileSAM, and the authors' network with them."""
    theirs = mobile_sam.sam_model_registry["vit_t"]()
    state = random_state(theirs)
    theirs.load_state_dict(state)
    # Its cached attention biases are looked up on the way from training only.
    theirs.train().eval()
    return state, theirs


@pytest.fixture(scope="session")
def mobile(mobile_state):
    """MobileSAM in full."""
    state, theirs = mobile_state
    ours = model_of(build(Architecture.VIT_T, state))
    return Pair(ours, theirs, mobile_sam.SamPredictor)


def metas_sam2(name: str) -> torch.nn.Module:
    """Meta's SAM 2 of a size, for example "sam2.1_hiera_t"."""
    folder = name.partition("_")[0]
    with torch.random.fork_rng():
        return build_sam2(f"configs/{folder}/{name}.yaml", None, device="cpu")


@pytest.fixture(scope="session")
def random_weights():
    return random_state


@pytest.fixture(scope="session")
def new_plane():
    return make_plane


@pytest.fixture(scope="session")
def metas():
    return metas_sam2


def sam2_predictor(network):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
        return SAM2ImagePredictor(network)


@pytest.fixture(scope="session")
def make_tiny():
    """Make a `Pair` of SAM 2 or 2.1, tiny, in full."""

    def make(name: str) -> Pair:
        theirs = metas_sam2(name)
        state = random_state(theirs)
        theirs.load_state_dict(state)
        network = build2(sam2.detect(state), state)
        names = {"name": "random", "version": "0", "sha256": "r"}
        return Pair(Sam2Model(network, **names, device="cpu"), theirs, sam2_predictor)

    return make


@pytest.fixture(scope="session")
def tiny(make_tiny):
    return make_tiny("sam2.1_hiera_t")


@pytest.fixture(scope="session", params=["mobile", "tiny"])
def pair(request):
    """MobileSAM, and SAM 2.1."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def mobile_network(mobile_state):
    """Make our MobileSAM with another precision."""
    state, _ = mobile_state

    def make(precision: str) -> Sam1Model:
        return model_of(build(Architecture.VIT_T, state), precision=precision)

    return make


@pytest.fixture(scope="session")
def shallow():
    """Make a `Pair` of SAM b/l/h, with a few of the encoder's blocks."""

    def make(name: str, blocks: slice):
        with torch.device("meta"):
            theirs = segment_anything.sam_model_registry[name]()
        theirs.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
        theirs.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
        ours = empty(Architecture(name))
        for network in (theirs, ours):
            network.image_encoder.blocks = network.image_encoder.blocks[blocks]
        state = random_state(theirs)
        theirs.load_state_dict(state, assign=True)
        theirs.eval()
        return Pair(model_of(load(ours, state)), theirs, segment_anything.SamPredictor)

    return make


@pytest.fixture(scope="session")
def planes():
    """Planes of every size that a microscope may bring."""
    return {name: make_plane(shape) for name, shape in SHAPES.items()}
