"""What a picture shows, in words that travel inside its file: the description of a PNG, the image description of a film.

A drawing `x.svg` is described by its twin `x.png`.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

EXIF = 0x010E  # the number of Exif's ImageDescription
PNG = "Description"


def exif(about: str) -> Image.Exif:
    """The description of a film, as its file holds it."""
    found = Image.Exif()
    found[EXIF] = about
    return found


def caption(path: Path) -> str:
    """What a picture shows; its name in words where it does not say."""
    source = path.with_suffix(".png") if path.suffix == ".svg" else path
    try:
        with Image.open(source) as image:
            about = image.info.get(PNG) or image.getexif().get(EXIF)
    except OSError:  # no picture that can be read here: a film as MP4, say
        about = None
    return str(about or path.stem.replace("_", " ").replace("-", " "))


def of_setting(about: str, setting: str) -> str:
    """A description with the setting in front, "" where there is one."""
    return f"{setting}: {about}" if setting else about
