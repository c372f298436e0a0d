"""What torch-em's own decoder answers, for `test_instances.py`.

    PYTHON tests/models/musam/make_fixture.py

PYTHON as in benchmarks/micro_sam_parity.py. Writes torch_em_decoder.npz beside this
file: the answers to `features` of decoders whose weights are `seeded`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 8
FILE = Path(__file__).with_name("torch_em_decoder.npz")


def seeded(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return random weights of the same names and shapes, the same everywhere."""
    random = np.random.default_rng(11)
    weights = {}
    for name in sorted(state):
        shape = tuple(state[name].shape)
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.zeros((), dtype=torch.int64)
            continue
        fan = max(1, int(np.prod(shape[1:])))
        values = random.normal(0, 1.4 / np.sqrt(fan) if len(shape) > 1 else 0.3, shape)
        if name.endswith("running_var"):
            values = 0.5 + values**2
        weights[name] = torch.tensor(values, dtype=torch.float32)
    return weights


def features() -> torch.Tensor:
    """Return an embedding of 4 × 5 cells."""
    random = np.random.default_rng(12)
    return torch.tensor(random.normal(0, 1, (1, 256, 4, 5)), dtype=torch.float32)


def main() -> None:
    """Ask torch-em."""
    from micro_sam.instance_segmentation import DecoderAdapter
    from mobile_sam import sam_model_registry
    from torch_em.model import UNETR

    answers: dict[str, Any] = {}
    for transposed in (False, True):
        network = UNETR(
            backbone="sam",
            encoder=sam_model_registry["vit_t"](None).image_encoder,
            out_channels=3,
            use_sam_stats=True,
            final_activation="Sigmoid",
            use_skip_connection=False,
            use_conv_transpose=transposed,
            initial_features=WIDTH,
        ).eval()
        decoder = DecoderAdapter(network).eval()
        decoder.load_state_dict(seeded(decoder.state_dict()))
        with torch.no_grad():
            found = decoder._forward_impl(features())
        answers["transposed" if transposed else "interpolated"] = found[0].numpy()
    np.savez_compressed(FILE, **answers)


if __name__ == "__main__":
    main()
