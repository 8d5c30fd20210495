"""Which letters a sheet can draw, with Pillow's own font and with one of the machine's."""

from pathlib import Path

import matplotlib as mpl
import pytest

from vitrine import lettering
from vitrine.lettering import lettered, own_font

DEJAVU = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
"""Has Cyrillic, and neither Chinese nor Korean; matplotlib carries it."""


def test_pillows_font_draws_latin_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accents are dropped, whatever the machine has; without its fonts other scripts are question marks."""
    monkeypatch.setattr(lettering, "MACHINE_FONTS", (DEJAVU,))
    assert lettered("“Kleid” für Ålesund", 12) == ("“Kleid” fur Alesund", own_font(12))
    monkeypatch.setattr(lettering, "MACHINE_FONTS", ())
    assert lettered("красное 红 dress", 12) == ("??????? ? dress", own_font(12))


def test_a_font_of_the_machine_draws_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first file that is a font is taken; a letter that it lacks is a question mark, accents stay."""
    (tmp_path / "broken.ttc").write_bytes(b"no font")
    fonts = (tmp_path / "missing.ttc", tmp_path / "broken.ttc", DEJAVU)
    monkeypatch.setattr(lettering, "MACHINE_FONTS", fonts)
    text, font = lettered("красное платье, é 红", 14)
    assert text == "красное платье, é ?"
    assert (font.getname()[0], font.size) == ("DejaVu Sans", 14)
