"""A text that the office writes without knowing HTML."""

import re

import pytest

from kmzportal.web.site.markdown import parse


def html(text, **how):
    """Return the HTML of a text that has one section."""
    [section] = parse(text, **how).sections
    return section.html.strip()


def tags(text):
    return re.findall(r"<(\w+)", html(text))


def test_headings_make_a_title_and_sections_with_anchors():
    document = parse("# Hilfe\n\nVorab.\n\n## Kein Zugang {#kein-zugang}\nText.\n\n## Sonstiges\n\nMehr.")
    assert document.title == "Hilfe"
    assert [(one.heading, one.anchor) for one in document.sections] == [
        ("", ""),
        ("Kein Zugang", "kein-zugang"),
        ("Sonstiges", ""),
    ]
    assert [one.heading for one in document.contents] == ["Kein Zugang"]
    assert "Text." in document.sections[1].html


def test_a_part_of_a_section_has_a_smaller_heading():
    assert html("### Teil") == '<h3 class="kern-heading-small">Teil</h3>'


@pytest.mark.parametrize("text", ["#### Teil", "- # Teil", "- ## Teil"])
def test_no_heading_skips_a_level(text):
    assert '<h3 class="kern-heading-small">Teil</h3>' in html(text)


def test_lists_follow_a_paragraph_without_an_empty_line():
    assert html("Bitte prüfen:\n- erstens\n- zweitens\n\n1. öffnen\n2. lesen").split("\n") == [
        '<p class="kern-body">Bitte prüfen:</p>',
        '<ul class="kern-list kern-list--bullet">', "<li>erstens</li>", "<li>zweitens</li>", "</ul>",
        '<ol class="kern-list kern-list--number">', "<li>öffnen</li>", "<li>lesen</li>", "</ol>",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_stays_a_line_break(end):
    assert tags(f"eins{end}zwei") == ["p", "br"]


def test_in_easy_language_each_line_is_a_paragraph_and_lists_stay_lists():
    shown = html("Eins.\nZwei.\n- drei\n- vier\nFünf.", line_by_line=True)
    assert re.findall(r"<(p|li)[^>]*>(.+?)</", shown) == [
        ("p", "Eins."), ("p", "Zwei."), ("li", "drei"), ("li", "vier"), ("p", "Fünf."),
    ]  # fmt: skip


def test_links_and_bold_words_stand_inside_a_sentence():
    shown = html("Rufen Sie [07051 1](tel:07051 1) **sofort** an.")
    assert 'Rufen Sie <a href="tel:+4970511" class="kern-link">07051 1</a> <strong>sofort</strong> an.' in shown


@pytest.mark.parametrize("target", ["/hilfe#x", "#x", "https://a.example", "http://a.example", "mailto:a@b.example"])
def test_a_link_may_lead_to_pages_mailboxes_and_telephones(target):
    assert f'href="{target}"' in html(f"[Wort]({target})")


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert)", "[x](JavaScript:alert)", "[x](data:text/html,x)", "[x](vbscript:x)", "[x](evil)",
        "<b>x</b>", '<img src="x" onerror="alert(1)">', "<!-- x -->", "<https://a.example>", "&lt;", "{{ 7 * 7 }}",
        "[x]", "[x] (https://a.example)", "`x`", "> x", "---", "a\\*b",
        "[x]: https://a.example", "~~x~~", "|a|b|",
    ],
)  # fmt: skip
def test_everything_else_is_shown_as_typed(text):
    assert html(text).striptags() == text
    assert tags(text) == ["p"]


def test_a_picture_is_not_loaded():
    assert tags("![x](https://a.example/x.png)") == ["p", "a"]
