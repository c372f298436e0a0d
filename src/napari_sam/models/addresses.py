"""Where the publishers of checkpoints keep them."""

from __future__ import annotations

from typing import Final

META: Final = "https://dl.fbaipublicfiles.com/segment_anything"
META_PAGE: Final = (
    "https://github.com/facebookresearch/segment-anything#model-checkpoints"
)
SAM2: Final = "https://dl.fbaipublicfiles.com/segment_anything_2/072824"
SAM21: Final = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
SAM2_PAGE: Final = "https://github.com/facebookresearch/sam2#model-description"
ZOO: Final = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"
ZOO_PAGE: Final = "https://bioimage.io/#/?id="
ASSETS: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
CLIP: Final = "https://openaipublic.azureedge.net/clip/models"
CLIP_SHA256: Final = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
