"""Draws nine pictures as one image: place, angle, size, colour, background and grain differ each time, by chance.

So no two tiles are alike byte for byte, and nothing in the file says which picture it was. Nothing here knows a
token, and only this module imports Pillow.
"""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from random import SystemRandom

from PIL import Image, ImageEnhance
from PIL.Image import Resampling, Transpose

from kmzportal.robot_check.puzzle import FOLDER

TILE, GAP = 144, 6
SIDE = 3 * (TILE + GAP)  # each third of the image is one tile, with its half of the gaps
MEDIA_TYPE = "image/jpeg"

_chance = SystemRandom()


def draw(pictures: Sequence[str]) -> bytes:
    """Draw the named pictures, row by row, as one JPEG of three by three tiles."""
    sheet = Image.new("RGB", (SIDE, SIDE), "#1f2430")
    for place, name in enumerate(pictures):
        row, column = divmod(place, 3)
        sheet.paste(_tile(name), (column * (TILE + GAP) + GAP // 2, row * (TILE + GAP) + GAP // 2))
    jpeg = BytesIO()
    sheet.save(jpeg, "JPEG", quality=80)
    return jpeg.getvalue()


def _tile(name: str) -> Image.Image:
    tile, picture = _clouds(), _disguised(_picture(name))
    x, y = _chance.randint(0, TILE - picture.width), _chance.randint(0, TILE - picture.height)
    shadow = picture.getchannel("A").point([alpha * 2 // 5 for alpha in range(256)])
    tile.paste("black", (x + 2, y + 3), shadow)  # pale things stand out from a pale background
    tile.paste(picture, (x, y), picture)
    grain = Image.frombytes("L", (TILE, TILE), _chance.randbytes(TILE * TILE)).convert("RGB")
    return Image.blend(tile, grain, 0.06)


def _clouds() -> Image.Image:
    """Make a pale, calm background without edges that could be taken for a thing."""
    tint = [_chance.randint(150, 225) for _ in "rgb"]
    spots = bytes(shade + _chance.randint(-30, 30) for _ in range(16) for shade in tint)
    return Image.frombytes("RGB", (4, 4), spots).resize((TILE, TILE), Resampling.BICUBIC)


def _disguised(picture: Image.Image) -> Image.Image:
    size = _chance.randint(92, 106)  # even turned it stays inside the tile
    if _chance.random() < 0.5:
        picture = picture.transpose(Transpose.FLIP_LEFT_RIGHT)
    picture = picture.resize((size, size), Resampling.BICUBIC)
    coloured = ImageEnhance.Color(picture).enhance(_chance.uniform(0.75, 1.25))
    return coloured.rotate(_chance.uniform(-20, 20), Resampling.BICUBIC, expand=True)


@lru_cache(maxsize=64)
def _picture(name: str) -> Image.Image:
    with Image.open(FOLDER / f"{name}.webp", formats=["WEBP"]) as picture:
        return picture.convert("RGBA")
