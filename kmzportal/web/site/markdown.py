"""Renders the texts of the office, in a subset of Markdown, as HTML with the CSS classes of KERN.

    # Title                      ## Section {#anchor}            ### Part of a section
    - a list                     1. a list with numbers          **bold**, *italic*, [words](/hilfe)

Line breaks are kept. Everything else, including HTML, is shown as typed.
"""

import re
from dataclasses import dataclass
from itertools import chain

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from kmzportal import phone

SAFE_LINKS = ("/", "#", "https://", "http://", "mailto:", "tel:")
CLASSES = {
    "h3": "kern-heading-small",
    "p": "kern-body",
    "ul": "kern-list kern-list--bullet",
    "ol": "kern-list kern-list--number",
    "a": "kern-link",
}
ANCHOR = re.compile(r"\s*\{#([\w-]+)\}$")
NUMBER = re.compile(r"(?<=\]\()tel:[^)\n]+")

MARKDOWN = MarkdownIt("zero", {"html": False, "breaks": True})
MARKDOWN.enable(["heading", "list", "emphasis", "link", "newline"])
MARKDOWN.validateLink = lambda url: url.startswith(SAFE_LINKS)  # type: ignore[method-assign]


@dataclass(frozen=True)
class Section:
    heading: str
    anchor: str
    html: Markup


@dataclass(frozen=True)
class Document:
    title: str
    sections: list[Section]  #: the first has no heading

    @property
    def contents(self) -> list[Section]:
        return [section for section in self.sections if section.anchor]


def parse(text: str, line_by_line: bool = False, site: str = "") -> Document:
    """Return the text in sections; with `line_by_line`, each line becomes a paragraph of its own (easy language).

    Links to own pages get their address as `data-address`, which is printed; `site` is the host in front of the path.
    """
    text = NUMBER.sub(lambda link: phone.uri(link[0].removeprefix("tel:")), text)  # phone numbers contain blanks
    if line_by_line:
        text = re.sub(r"\n(?!#|- |\d+\. |\s)", "\n\n", text)
    title, parts = "", [("", list[Token]())]
    tokens = iter(MARKDOWN.parse(text))
    for token in tokens:
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
            heading = next(tokens).content
            next(tokens)  # the end of the heading
            if token.tag == "h1":
                title = heading
            else:
                parts.append((heading, []))
        else:
            parts[-1][1].append(token)
    return Document(title, [_section(heading, content, site) for heading, content in parts])


def _section(heading: str, tokens: list[Token], site: str) -> Section:
    for token in chain(tokens, *(token.children or () for token in tokens)):
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h3"  # one level below the heading of the section
        if token.nesting == 1 and token.tag in CLASSES:
            token.attrSet("class", CLASSES[token.tag])
        if token.type == "link_open" and str(token.attrGet("href")).startswith("/"):
            token.attrSet("data-address", f"{site}{token.attrGet('href')}")
    anchor = ANCHOR.search(heading)
    # The renderer escapes all text; its only tags are those of the rules enabled above.
    html = Markup(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))  # noqa: S704
    return Section(ANCHOR.sub("", heading), anchor[1] if anchor else "", html)
