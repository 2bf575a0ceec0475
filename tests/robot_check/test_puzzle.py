"""A person who sees the pictures passes; a program that guesses, replays or peeks does not."""

from datetime import UTC, datetime, timedelta
from random import Random
from statistics import mean

import pytest

from kmzportal.robot_check.puzzle import ANSWERS, CATALOGUE, Puzzles, PuzzleUnusable

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LINK = "link:17"


@pytest.fixture
def puzzles():
    return Puzzles(b"a key of thirty-two bytes, or so")


def seen_by_a_person(puzzles, puzzle):
    """The tiles somebody picks who recognises every picture."""
    wanted = next(names for phrase, names in CATALOGUE.items() if puzzle.question.endswith(f" mit {phrase}."))
    return {place for place, name in enumerate(puzzles.pictures(puzzle.token, NOW)) if name in wanted}


def test_who_recognises_the_pictures_always_passes(puzzles):
    for puzzle in (puzzles.new(LINK, NOW) for _ in range(300)):
        right = seen_by_a_person(puzzles, puzzle)
        assert len(right) in {3, 4}
        assert puzzles.solved_by(puzzle.token, right, LINK, NOW)


def test_one_tile_too_many_or_too_few_is_wrong(puzzles):
    puzzle = puzzles.new(LINK, NOW)
    right = seen_by_a_person(puzzles, puzzle)
    for place in range(9):
        assert not puzzles.solved_by(puzzle.token, right ^ {place}, LINK, NOW)
    assert not puzzles.solved_by(puzzle.token, set(), LINK, NOW)
    assert not puzzles.solved_by(puzzle.token, set(range(9)), LINK, NOW)


def test_no_picture_shows_twice_in_a_puzzle(puzzles):
    for _ in range(300):
        assert len(set(puzzles.pictures(puzzles.new(LINK, NOW).token, NOW))) == 9


def test_the_best_blind_guess_is_right_less_than_once_in_fifty():
    # Each answer is equally likely, so no guess is better than another.
    assert len(set(ANSWERS)) == len(ANSWERS)
    assert 1 / len(ANSWERS) < 0.02


def test_fifteen_hundred_blind_guesses_pass_less_than_once_in_fifty(puzzles):
    dice = Random(17)  # noqa: S311 - the same guesses each time
    guesses = [set(dice.sample(range(9), dice.choice([3, 4]))) for _ in range(1500)]
    passed = sum(puzzles.solved_by(puzzles.new(LINK, NOW).token, guess, LINK, NOW) for guess in guesses)
    assert passed / 1500 < 0.02


def test_no_question_no_place_and_no_number_of_tiles_is_a_safe_bet(puzzles):
    made = [puzzles.new(LINK, NOW) for _ in range(1500)]
    answers = [seen_by_a_person(puzzles, puzzle) for puzzle in made]
    assert {puzzle.question for puzzle in made} == {f"Wählen Sie alle Bilder mit {phrase}." for phrase in CATALOGUE}
    for place in range(9):  # expected: 3.6 of 9
        assert 0.34 < mean(place in answer for answer in answers) < 0.46
    assert 0.34 < mean(len(answer) == 3 for answer in answers) < 0.46


def test_the_same_token_asks_the_same_and_shows_the_same(puzzles):
    puzzle = puzzles.new(LINK, NOW)
    restarted = Puzzles(b"a key of thirty-two bytes, or so")
    assert restarted.open(puzzle.token, LINK, NOW) == puzzle
    assert restarted.pictures(puzzle.token, NOW) == puzzles.pictures(puzzle.token, NOW)


def test_two_puzzles_differ_although_made_in_the_same_second(puzzles):
    made = [puzzles.new(LINK, NOW) for _ in range(20)]
    assert len({puzzles.identity(puzzle.token)[0] for puzzle in made}) == 20
    assert len({tuple(puzzles.pictures(puzzle.token, NOW)) for puzzle in made}) == 20


def test_what_to_remember_of_a_puzzle_is_its_id_and_its_end(puzzles):
    token = puzzles.new(LINK, NOW).token
    assert puzzles.identity(token) == puzzles.identity(token)
    assert puzzles.identity(token)[1] == NOW + timedelta(seconds=900)


def test_a_puzzle_is_over_after_its_lifetime(puzzles):
    puzzle = puzzles.new(LINK, NOW)
    right = seen_by_a_person(puzzles, puzzle)
    assert puzzles.solved_by(puzzle.token, right, LINK, NOW + timedelta(seconds=899))
    for use in (
        lambda late: puzzles.solved_by(puzzle.token, right, LINK, late),
        lambda late: puzzles.open(puzzle.token, LINK, late),
        lambda late: puzzles.pictures(puzzle.token, late),
    ):
        with pytest.raises(PuzzleUnusable):
            use(NOW + timedelta(seconds=900))


def test_a_puzzle_of_another_link_does_not_count(puzzles):
    puzzle = puzzles.new("link:18", NOW)
    with pytest.raises(PuzzleUnusable):
        puzzles.open(puzzle.token, LINK, NOW)
    with pytest.raises(PuzzleUnusable):
        puzzles.solved_by(puzzle.token, seen_by_a_person(puzzles, puzzle), LINK, NOW)


def test_a_puzzle_of_another_portal_does_not_count(puzzles):
    foreign = Puzzles(b"another key").new(LINK, NOW).token
    for use in (puzzles.identity, lambda token: puzzles.open(token, LINK, NOW)):
        with pytest.raises(PuzzleUnusable):
            use(foreign)


def test_a_changed_token_is_refused_wherever_it_was_changed(puzzles):
    token = puzzles.new(LINK, NOW).token
    # The last character of base64 has unused bits; one further in always counts.
    for place in (0, 5, len(token) // 2, token.index("."), len(token) - 2):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(PuzzleUnusable):
            puzzles.open(forged, LINK, NOW)


@pytest.mark.parametrize("nonsense", ["", ".", "ü", "a.b", "\0", "x" * 5000])
def test_nonsense_instead_of_a_token_is_refused(puzzles, nonsense):
    with pytest.raises(PuzzleUnusable):
        puzzles.identity(nonsense)
