"""Captions stored in picture files: the Description of a PNG, the Exif ImageDescription of an animation.

An SVG has the caption of the PNG of the same name.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

EXIF = 0x010E  # the number of Exif's ImageDescription
PNG = "Description"


def exif(about: str) -> Image.Exif:
    """The caption of an animation as Exif."""
    data = Image.Exif()
    data[EXIF] = about
    return data


def caption(path: Path) -> str:
    """The caption of a picture; its file name where it has none."""
    source = path.with_suffix(".png") if path.suffix == ".svg" else path
    try:
        with Image.open(source) as image:
            about = image.info.get(PNG) or image.getexif().get(EXIF)
    except OSError:  # not readable as an image, for example an MP4
        about = None
    return str(about or path.stem.replace("_", " ").replace("-", " "))


def of_setting(about: str, setting: str) -> str:
    """A description after the name of its setting, which is "" in a table of one setting."""
    return f"{setting}: {about}" if setting else about
