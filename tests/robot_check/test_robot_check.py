"""The picture puzzle: a person passes, a program that guesses, replays or reads tokens does not; its image."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from statistics import mean

import pytest
from PIL import Image

from kmzportal.robot_check.drawing import GAP, SIDE, TILE, draw
from kmzportal.robot_check.puzzle import ANSWERS, CATALOGUE, FOLDER, Puzzles, PuzzleUnusable

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LINK = "link:17"
KEY = b"a key of thirty-two bytes, or so"
PUZZLES = Puzzles(KEY)


@pytest.fixture
def puzzle():
    return PUZZLES.new(LINK, NOW)


def right_tiles(puzzle):
    """The tiles that a person picks who recognizes every picture."""
    wanted = next(names for phrase, names in CATALOGUE.items() if puzzle.question.endswith(f" mit {phrase}."))
    return {place for place, name in enumerate(PUZZLES.pictures(puzzle.token, NOW)) if name in wanted}


# The puzzle


def test_the_right_tiles_always_pass_and_no_picture_is_shown_twice():
    for puzzle in (PUZZLES.new(LINK, NOW) for _ in range(300)):
        right = right_tiles(puzzle)
        assert len(right) in {3, 4}
        assert PUZZLES.solved_by(puzzle.token, right, LINK, NOW)
        assert len(set(PUZZLES.pictures(puzzle.token, NOW))) == 9


def test_one_tile_too_many_or_too_few_is_wrong(puzzle):
    right = right_tiles(puzzle)
    for answer in (*(right ^ {place} for place in range(9)), set(), set(range(9))):
        assert not PUZZLES.solved_by(puzzle.token, answer, LINK, NOW)


def test_no_question_place_or_number_of_tiles_is_likelier_than_another():
    assert len(set(ANSWERS)) == len(ANSWERS) > 50, "a guess passes less than once in fifty"
    puzzles = [PUZZLES.new(LINK, NOW) for _ in range(1500)]
    answers = [right_tiles(puzzle) for puzzle in puzzles]
    assert {puzzle.question for puzzle in puzzles} == {f"Wählen Sie alle Bilder mit {phrase}." for phrase in CATALOGUE}
    for place in range(9):  # expected: 3.6 of 9
        assert 0.34 < mean(place in answer for answer in answers) < 0.46
    assert 0.34 < mean(len(answer) == 3 for answer in answers) < 0.46


def test_a_token_gives_the_same_puzzle_in_every_process(puzzle):
    other = Puzzles(KEY)
    assert other.open(puzzle.token, LINK, NOW) == puzzle
    assert other.pictures(puzzle.token, NOW) == PUZZLES.pictures(puzzle.token, NOW)
    assert other.identity(puzzle.token) == PUZZLES.identity(puzzle.token)
    assert PUZZLES.identity(puzzle.token)[1] == NOW + timedelta(seconds=900)
    assert other.solved_by(puzzle.token, right_tiles(puzzle), LINK, NOW + timedelta(seconds=899))
    with pytest.raises(PuzzleUnusable):
        other.pictures(puzzle.token, NOW + timedelta(seconds=900))


def test_puzzles_made_in_the_same_second_differ():
    tokens = [PUZZLES.new(LINK, NOW).token for _ in range(20)]
    assert len({PUZZLES.identity(token)[0] for token in tokens}) == 20
    assert len({tuple(PUZZLES.pictures(token, NOW)) for token in tokens}) == 20


@pytest.mark.parametrize(
    ("keys", "link", "seconds"),
    [(KEY, LINK, 900), (KEY, "link:18", 0), (b"another key", LINK, 0)],
    ids=["expired", "of another link", "of another key"],
)
def test_a_puzzle_that_is_expired_or_of_another_link_or_key_is_refused(keys, link, seconds):
    token = Puzzles(keys).new(link, NOW).token
    for use in (
        lambda at: PUZZLES.solved_by(token, {0, 1, 2}, LINK, at),
        lambda at: PUZZLES.open(token, LINK, at),
    ):
        with pytest.raises(PuzzleUnusable):
            use(NOW + timedelta(seconds=seconds))


def test_a_changed_or_malformed_token_is_refused(puzzle):
    token = puzzle.token
    # The last character of base64 has unused bits; the one before always counts.
    places = (0, 5, len(token) // 2, token.index("."), len(token) - 2)
    forged = [token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in places]
    for wrong in (*forged, "", ".", "ü", "a.b", "\0", "x" * 5000):
        with pytest.raises(PuzzleUnusable):
            PUZZLES.open(wrong, LINK, NOW)
        with pytest.raises(PuzzleUnusable):
            PUZZLES.identity(wrong)


# The image


def tiles_of(jpeg):
    """Cut an image into its nine tiles, as a program would."""
    sheet = Image.open(BytesIO(jpeg))
    steps = [step * (TILE + GAP) + GAP // 2 for step in range(3)]
    return [sheet.crop((x, y, x + TILE, y + TILE)).tobytes() for y in steps for x in steps]


@pytest.mark.trial
def test_neither_tiles_nor_size_of_three_hundred_images_give_the_answer_away():
    hashes, sizes = set(), {3: [], 4: []}
    for puzzle in (PUZZLES.new(LINK, NOW) for _ in range(300)):
        image = draw(PUZZLES.pictures(puzzle.token, NOW))
        hashes |= {sha256(tile).digest() for tile in tiles_of(image)}
        sizes[len(right_tiles(puzzle))].append(len(image))
    assert len(hashes) == 300 * 9, "a picture was drawn twice with the same bytes"
    assert max(sizes[3] + sizes[4]) < 60_000
    assert abs(mean(sizes[3]) - mean(sizes[4])) < 0.02 * mean(sizes[3])


def test_the_image_holds_no_metadata_and_no_names(puzzle):
    image = draw(PUZZLES.pictures(puzzle.token, NOW))
    opened = Image.open(BytesIO(image))
    assert (opened.format, opened.size) == ("JPEG", (SIDE, SIDE))
    assert not opened.getexif()
    assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    header = image[: image.index(b"\xff\xda")]  # among 40,000 bytes of pixels a "cat" is found by chance
    assert not any(name.encode() in header for names in CATALOGUE.values() for name in names)


def test_each_picture_belongs_to_one_phrase_and_is_shipped_with_its_licence():
    names = [name for names in CATALOGUE.values() for name in names]
    assert len(names) == len(set(names))
    assert {file.stem for file in FOLDER.glob("*.webp")} == set(names)
    assert min(map(len, CATALOGUE.values())) >= 4
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 400_000
    assert "Copyright (c) Microsoft Corporation" in (FOLDER / "LICENSE.txt").read_text(encoding="utf-8")


def test_the_same_puzzle_drawn_again_has_no_tile_in_common(puzzle):
    pictures = PUZZLES.pictures(puzzle.token, NOW)
    assert not set(tiles_of(draw(pictures))) & set(tiles_of(draw(pictures)))
