"""From masks to objects: annotate stacks, settle overlaps, link, clean, measure."""

from napari_sam.segment.annotate import (
    AnnotationWarning,
    annotate,
    annotate_plane,
    iter_annotate,
    load_parts,
    plane_number,
    planes_text,
)
from napari_sam.segment.clean import clean_mask
from napari_sam.segment.compose import compose
from napari_sam.segment.edges import find_edges
from napari_sam.segment.everything import find_everything
from napari_sam.segment.link import Linked, StackLinker
from napari_sam.segment.metrics import (
    THRESHOLDS,
    Agreement,
    Comparison,
    LabelError,
    compare_labels,
)
from napari_sam.segment.number import Numbers, number_objects
from napari_sam.segment.propagate import Propagation, propagate
from napari_sam.segment.proposals import Clicks, Proposals
from napari_sam.segment.propose import propose_plane, settle
from napari_sam.segment.recipe import Recipe, RecipeError, make_recipe
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import (
    COLUMNS,
    empty_table,
    join_tables,
    with_ids,
    with_plane,
)

__all__ = [
    "COLUMNS",
    "THRESHOLDS",
    "Agreement",
    "AnnotationWarning",
    "Clicks",
    "Comparison",
    "LabelError",
    "Linked",
    "Numbers",
    "PlaneResult",
    "Propagation",
    "Proposals",
    "Recipe",
    "RecipeError",
    "StackLinker",
    "annotate",
    "annotate_plane",
    "clean_mask",
    "compare_labels",
    "compose",
    "empty_table",
    "find_edges",
    "find_everything",
    "iter_annotate",
    "join_tables",
    "load_parts",
    "make_recipe",
    "number_objects",
    "plane_number",
    "planes_text",
    "propagate",
    "propose_plane",
    "settle",
    "with_ids",
    "with_plane",
]
