"""Starts the command line, and knows of the package that shares our import name.

The package `napari-sam` on PyPI, given up in 2023, installs `napari_sam` too.
Installed after ours it replaces `napari_sam/__init__.py`, so what must be said
then cannot live in there.
"""

from __future__ import annotations

import sys
import warnings

_OTHER = "napari-sam"


def conflict_message() -> str | None:
    """Return what to tell the user where `napari-sam` is installed too, else None."""
    from importlib import metadata

    try:
        version = metadata.version(_OTHER)
    except metadata.PackageNotFoundError:
        return None
    return (
        f"the package {_OTHER} {version} is installed too; it is no longer maintained "
        "and overwrites files of SAM Annotator, which has the same import name: run "
        f'"pip uninstall {_OTHER} napari-sam-annotator", then install SAM Annotator '
        "again"
    )


def main() -> None:
    """Run `napari-sam`."""
    message = conflict_message()
    if message is not None:
        print(f"napari-sam: {message}", file=sys.stderr)
        # `import napari_sam` warns of the same: once is enough.
        warnings.filterwarnings("ignore", message=f"the package {_OTHER} ")
    try:
        from napari_sam.cli import main as run
    except ImportError:
        if message is None:
            raise
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
