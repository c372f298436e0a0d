"""The objects table of all inputs as Parquet, with types."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from napari_sam.records import tables
from napari_sam.records.files import atomic_file
from napari_sam.records.formats.base import Format, Shared
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Parquet(Format):
    """One table for all inputs; `objects.csv` is written anyway."""

    name = "parquet"

    def check(self) -> None:
        """Say that pyarrow is missing."""
        if importlib.util.find_spec("pyarrow") is None:
            raise OutputError(
                "the format parquet needs the package pyarrow: "
                "pip install 'napari-sam-annotator[parquet]'"
            )

    def shared(self, folder: Path) -> tuple[Path, ...]:
        """Return the table."""
        return (folder / "objects.parquet",)

    def join(self, shared: Shared) -> None:
        """Put the tables of all inputs together."""
        from pyarrow import parquet

        (path,) = self.shared(shared.folder)
        names = tables.joined_columns(shared.tables)
        schema = _schema(names)
        with (
            atomic_file(path) as file,
            parquet.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for batch in _batches(shared.tables, schema):
                writer.write_batch(batch)


def _schema(names: Sequence[str]) -> Any:
    import pyarrow as pa

    kinds = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    return pa.schema([(name, kinds[tables.kind_of(name)]) for name in names])


def _batches(fragments: Sequence[Path], schema: Any) -> Iterator[Any]:
    """Yield what the fragments hold, piece by piece; what one lacks is null."""
    import pyarrow as pa
    from pyarrow import csv

    convert = csv.ConvertOptions(
        column_types={field.name: field.type for field in schema},
        include_columns=schema.names,
        include_missing_columns=True,
        null_values=["", "nan"],
        strings_can_be_null=False,
        true_values=["True"],
        false_values=["False"],
    )
    for fragment in fragments:
        try:
            reader = csv.open_csv(fragment, convert_options=convert)
        except pa.ArrowInvalid:
            if tables.is_empty(fragment):
                continue  # an input without objects
            raise
        yield from reader
