"""A page as a tree: parsed strictly, read by its words, filled in by its labels."""

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BLOCKS = {"p", "div", "li", "dt", "dd", "h1", "h2", "h3", "td", "th", "label", "legend", "option", "form", "br"}
UNSEEN = {"script", "style", "template", "title"}
NOT_ENTERED = {"submit", "button", "image", "reset", "file"}


class _Parser(HTMLParser):
    """Builds a tree; an end tag that does not fit is an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tree = TreeBuilder()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.tree.end(tag)
        else:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened and self.opened[-1] == tag, f"</{tag}> closes {self.opened[-1:]}, line {self.getpos()[0]}"
        self.opened.pop()
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        if self.opened:
            self.tree.data(data)


def parse(text: str) -> Element:
    """Return the root of a page, or of a fragment with one root element."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert not parser.opened, f"never closed: {parser.opened}"
    return parser.tree.close()


def words(element: Element) -> str:
    """Return what can be read, with single blanks."""
    return " ".join("".join(_texts(element)).split())


def _texts(element: Element) -> Iterator[str]:
    if element.tag not in UNSEEN or element.tag == "title":
        gap = " " if element.tag in BLOCKS else ""
        yield gap + (element.text or "")
        for child in element:
            if child.tag not in UNSEEN:
                yield from _texts(child)
            yield child.tail or ""
        yield gap


def only(found: Iterable[Element], what: str) -> Element:
    """Return the only one; the tests say what is missing, or that there are several."""
    found = list(found)
    assert found, f"there is no {what} on the page"
    assert len(found) == 1, f"there are {len(found)} times {what} on the page"
    return found[0]


def by_id(page: Element, id_: str) -> Element:
    return only((one for one in page.iter() if one.get("id") == id_), f"#{id_}")


def field(page: Element, label: str) -> Element:
    """Return the field whose label reads so; what is only a mark beside it ("Optional") is forgiven."""
    labels = [one for one in page.iter("label") if words(one) in (label, f"{label} Optional")]
    found = only(labels, f"label {label!r}")
    return by_id(page, found.get("for", "")) if found.get("for") else only(found.iter("input"), f"field in {label!r}")


def button(page: Element, label: str) -> Element:
    buttons = (one for one in page.iter("button") if words(one) == label or one.get("aria-label") == label)
    found = only(buttons, f"button {label!r}")
    assert "disabled" not in found.attrib, f"the button {label!r} cannot be pressed"
    return found


def form_of(page: Element, control: Element) -> Element | None:
    if control.get("form"):
        return by_id(page, control.get("form", ""))
    return next((form for form in page.iter("form") if control in form.iter()), None)


def value(control: Element) -> str | None:
    """Return what the control sends, None if nothing."""
    if control.tag == "textarea":
        return (control.text or "").removeprefix("\n")
    if control.tag == "select":
        options = list(control.iter("option"))
        chosen = next((one for one in options if "selected" in one.attrib), options[0] if options else None)
        return None if chosen is None else chosen.get("value", words(chosen))
    if control.get("type") in ("checkbox", "radio"):
        return control.get("value", "on") if "checked" in control.attrib else None
    return control.get("value", "")


def entries(page: Element, form: Element) -> list[tuple[str, str]]:
    """Return what the form sends, but for the button."""
    controls = [one for one in page.iter() if one.tag in ("input", "select", "textarea") and one.get("name")]
    mine = [one for one in controls if form_of(page, one) is form and "disabled" not in one.attrib]
    sent = [(one.get("name", ""), value(one)) for one in mine if one.get("type") not in NOT_ENTERED]
    return [(name, text) for name, text in sent if text is not None]


def fill_in(control: Element, text: str) -> None:
    assert "readonly" not in control.attrib and "disabled" not in control.attrib, "the field cannot be written in"
    if control.tag == "textarea":
        control.text = text
    elif control.tag == "select":
        choose(control, text)
    else:
        assert control.get("type") not in ("checkbox", "radio", "hidden"), f"not a field to write in: {control.attrib}"
        control.set("value", text)


def choose(control: Element, option: str) -> None:
    chosen = only((one for one in control.iter("option") if words(one) == option), f"option {option!r}")
    for one in control.iter("option"):
        one.attrib.pop("selected", None)
    chosen.set("selected", "")


def tick(page: Element, box: Element, ticked: bool) -> None:
    assert box.get("type") in ("checkbox", "radio"), f"nothing to tick: {box.attrib}"
    if box.get("type") == "radio":
        for other in page.iter("input"):
            if other.get("name") == box.get("name"):
                other.attrib.pop("checked", None)
    box.attrib.pop("checked", None)
    if ticked:
        box.set("checked", "")


def target(page: Element, sender: Element, retarget: str | None) -> Element:
    """Return where htmx puts the answer."""
    wanted = retarget or sender.get("hx-target", "this")
    assert wanted == "this" or wanted.startswith("#"), f"the tests' browser does not know hx-target={wanted}"
    return sender if wanted == "this" else by_id(page, wanted[1:])


def swap(page: Element, target: Element, text: str, how: str) -> None:
    """Put the answer into the page in place."""
    how = how.split()[0]
    if how == "innerHTML":
        for child in list(target):
            target.remove(child)
        target.text = None
        if text.strip().startswith("<"):
            target.append(parse(text))
        else:
            target.text = text
        return
    assert how in ("outerHTML", "outerMorph"), f"the tests' browser does not know hx-swap={how}"
    parent = next(one for one in page.iter() if target in list(one))
    fragment = parse(text)
    fragment.tail = target.tail
    parent[list(parent).index(target)] = fragment
