"""The image shows nine pictures to a person and says nothing else to a program."""

from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from statistics import mean

import pytest
from PIL import Image

from kmzportal.robot_check.drawing import GAP, SIDE, TILE, draw
from kmzportal.robot_check.puzzle import CATALOGUE, FOLDER, Puzzles

pytestmark = pytest.mark.xdist_group("drawn")  # three hundred puzzles once, not once a process

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LINK = "link:17"


@pytest.fixture
def puzzles():
    return Puzzles(b"a key of thirty-two bytes, or so")


def right_ones(puzzles, puzzle):
    """How many of the pictures belong to the question."""
    wanted = next(names for phrase, names in CATALOGUE.items() if puzzle.question.endswith(f" mit {phrase}."))
    return len(set(wanted) & set(puzzles.pictures(puzzle.token, NOW)))


def tiles_of(jpeg):
    """Cut an image into its nine tiles, as a program would."""
    sheet = Image.open(BytesIO(jpeg))
    steps = [step * (TILE + GAP) + GAP // 2 for step in range(3)]
    return [sheet.crop((x, y, x + TILE, y + TILE)).tobytes() for y in steps for x in steps]


@pytest.fixture(scope="module")
def drawn():
    """Three hundred puzzles: how many tiles are right, and the image."""
    puzzles = Puzzles(b"a key of thirty-two bytes, or so")
    made = [puzzles.new(LINK, NOW) for _ in range(300)]
    return [(right_ones(puzzles, puzzle), draw(puzzles.pictures(puzzle.token, NOW))) for puzzle in made]


def test_three_hundred_puzzles_never_show_the_same_bytes_again(drawn):
    hashes = {sha256(tile).digest() for _, image in drawn for tile in tiles_of(image)}
    assert len(hashes) == 300 * 9


def test_the_same_puzzle_drawn_again_has_no_tile_in_common(puzzles):
    pictures = puzzles.pictures(puzzles.new(LINK, NOW).token, NOW)
    assert not set(tiles_of(draw(pictures))) & set(tiles_of(draw(pictures)))


def test_the_image_tells_nothing_but_its_pixels(puzzles):
    image = draw(puzzles.pictures(puzzles.new(LINK, NOW).token, NOW))
    opened = Image.open(BytesIO(image))
    assert (opened.format, opened.size) == ("JPEG", (SIDE, SIDE))
    assert not opened.getexif()
    assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    before_the_pixels = image[: image.index(b"\xff\xda")]  # in 40,000 bytes of pixels some "cat" comes up by chance
    assert not any(name.encode() in before_the_pixels for names in CATALOGUE.values() for name in names)


def test_the_size_of_the_image_does_not_tell_how_many_tiles_are_right(drawn):
    assert max(len(image) for _, image in drawn) < 60_000
    three, four = (mean(len(image) for right, image in drawn if right == count) for count in (3, 4))
    assert abs(three - four) < 0.02 * three


def test_no_picture_belongs_to_two_phrases_and_each_is_there():
    names = [name for names in CATALOGUE.values() for name in names]
    assert len(names) == len(set(names))
    assert {file.stem for file in FOLDER.glob("*.webp")} == set(names)
    assert min(map(len, CATALOGUE.values())) >= 4


def test_the_pictures_are_small_and_their_licence_lies_beside_them():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 400_000
    assert "Copyright (c) Microsoft Corporation" in (FOLDER / "LICENSE.txt").read_text(encoding="utf-8")
