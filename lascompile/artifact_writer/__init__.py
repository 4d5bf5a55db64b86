"""Write an artifact: beside its place under another name, and renamed when it is whole."""

from lascompile.artifact_writer.destination import check_destination
from lascompile.artifact_writer.write import write_artifact

__all__ = ["check_destination", "write_artifact"]
