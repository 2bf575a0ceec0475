"""A text that the office writes without knowing HTML."""

import pytest

from kmzportal.services.office_pages import Run, parse


def lines(text):
    """Return what a text says, block by block, without its dress."""
    blocks = [block for section in parse(text).sections for block in section.blocks]
    return [(block.kind, ["".join(run.text for run in line) for line in block.lines]) for block in blocks]


def runs(line):
    return parse(line).sections[0].blocks[0].lines[0]


def test_a_title_and_sections_are_understood():
    paper = parse("# Hilfe\n\nVorab.\n\n## Kein Zugang {#kein-zugang}\n\nText.\n\n## Sonstiges\n\nMehr.")
    assert paper.title == "Hilfe"
    assert [(one.heading, one.anchor) for one in paper.sections] == [
        ("", ""),
        ("Kein Zugang", "kein-zugang"),
        ("Sonstiges", ""),
    ]
    assert [one.heading for one in paper.contents] == ["Kein Zugang"]


def test_lists_and_paragraphs_are_told_apart():
    assert lines("Bitte prüfen:\n- erstens\n- zweitens\n\n1. öffnen\n2. lesen\n\n### Teil\n\neins\nzwei") == [
        ("text", ["Bitte prüfen:"]),
        ("list", ["erstens", "zweitens"]),
        ("numbers", ["öffnen", "lesen"]),
        ("part", ["Teil"]),
        ("text", ["eins", "zwei"]),
    ]


def test_windows_writes_its_lines_differently_and_is_understood():
    assert lines("# Titel\r\n\r\nText.\r\n\r\n- Punkt\r\n") == [("text", ["Text."]), ("list", ["Punkt"])]


def test_links_and_words_in_bold_stand_inside_a_sentence():
    assert runs("Rufen Sie [07051 1](tel:07051 1) **sofort** an.") == [
        Run("Rufen Sie "),
        Run("07051 1", "tel:070511"),
        Run(" "),
        Run("sofort", bold=True),
        Run(" an."),
    ]


@pytest.mark.parametrize("target", ["/hilfe#x", "#x", "https://a.example", "http://a.example", "mailto:a@b.example"])
def test_a_link_leads_where_links_may_lead(target):
    assert runs(f"[Wort]({target})") == [Run("Wort", target)]


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert)", "[x](data:text/html,x)", "<b>x</b>", "{{ 7 * 7 }}", "[x]", "* y"]
)
def test_whatever_else_stands_there_is_text(text):
    assert runs(text) == [Run(text)]
