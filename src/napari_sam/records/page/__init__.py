"""One HTML page about the results of a run, and 50 objects of it to judge."""

from napari_sam.records.page.write import NAME, write_report

__all__ = ["NAME", "write_report"]
