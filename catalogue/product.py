"""What the readers yield: a product by the schema, and its pictures wherever they are."""

from dataclasses import dataclass, field
from pathlib import Path

from vitrine.domain.product import Product


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a file."""

    path: Path
    folder: Path | None = field(default=None, compare=False)
    """The catalogue's."""

    @property
    def uri(self) -> str:
        """Return the path in the catalogue's folder; empty where it lies elsewhere, for that is nobody else's business."""
        if self.folder is None:
            return ""
        path, root = self.path.resolve(), self.folder.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


@dataclass(frozen=True, slots=True)
class PictureBytes:
    """A picture inside a row of the table."""

    data: bytes
    name: str = ""

    @property
    def uri(self) -> str:
        """Return where it can be had: nowhere outside the table."""
        return ""


@dataclass(frozen=True, slots=True)
class PictureUrl:
    """A picture on the web."""

    url: str

    @property
    def uri(self) -> str:
        """Return where it can be had."""
        return self.url


Picture = PictureFile | PictureBytes | PictureUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureError:
    """A picture that is not there; its product may have words."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueProduct:
    """A product of a catalogue; where its pictures can be had is known once they are read."""

    product: Product
    pictures: tuple[Picture, ...] = ()
    file: Path
    line: int
    """Its row, counted from 1."""
    errors: tuple[PictureError, ...] = ()
    """Pictures that the catalogue names and that are not there."""
