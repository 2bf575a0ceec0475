"""Draws nine pictures as one image with random position, angle, size, colour, background and noise.

So no two tiles have the same bytes, and the file does not reveal which picture a tile shows. Only this module imports
Pillow.
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

_random = SystemRandom()


def draw(pictures: Sequence[str]) -> bytes:
    """Draw the named pictures, row by row, as one JPEG of three by three tiles."""
    sheet = Image.new("RGB", (SIDE, SIDE), "#1f2430")
    for position, name in enumerate(pictures):
        row, column = divmod(position, 3)
        sheet.paste(_tile(name), (column * (TILE + GAP) + GAP // 2, row * (TILE + GAP) + GAP // 2))
    jpeg = BytesIO()
    sheet.save(jpeg, "JPEG", quality=80)
    return jpeg.getvalue()


def _tile(name: str) -> Image.Image:
    tile, picture = _background(), _vary(_picture(name))
    x, y = _random.randint(0, TILE - picture.width), _random.randint(0, TILE - picture.height)
    shadow = picture.getchannel("A").point([alpha * 2 // 5 for alpha in range(256)])
    tile.paste("black", (x + 2, y + 3), shadow)  # contrast for pale objects
    tile.paste(picture, (x, y), picture)
    noise = Image.frombytes("L", (TILE, TILE), _random.randbytes(TILE * TILE)).convert("RGB")
    return Image.blend(tile, noise, 0.06)


def _background() -> Image.Image:
    """Return a pale background without edges that could be mistaken for an object."""
    tint = [_random.randint(150, 225) for _ in "rgb"]
    spots = bytes(shade + _random.randint(-30, 30) for _ in range(16) for shade in tint)
    return Image.frombytes("RGB", (4, 4), spots).resize((TILE, TILE), Resampling.BICUBIC)


def _vary(picture: Image.Image) -> Image.Image:
    size = _random.randint(92, 106)  # stays inside the tile when rotated
    if _random.random() < 0.5:
        picture = picture.transpose(Transpose.FLIP_LEFT_RIGHT)
    picture = picture.resize((size, size), Resampling.BICUBIC)
    coloured = ImageEnhance.Color(picture).enhance(_random.uniform(0.75, 1.25))
    return coloured.rotate(_random.uniform(-20, 20), Resampling.BICUBIC, expand=True)


@lru_cache(maxsize=64)
def _picture(name: str) -> Image.Image:
    with Image.open(FOLDER / f"{name}.webp", formats=["WEBP"]) as picture:
        return picture.convert("RGBA")
