"""A mail of each template, and how its reader's program sees it."""

from email import message_from_bytes
from email.policy import strict
from html.parser import HTMLParser

from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, sample
from kmzportal.settings import SETTINGS

OFFICE = {setting.name: setting.default for setting in SETTINGS}
OFFICE |= {"PUBLIC_URL": "https://konto.kmz.example", "MAIL_DEFAULT_SENDER": "support@kmz-cw.de"}


def letter(template="desk_link", office=OFFICE, **different):
    return compose(sample(template, **different), KEYS, office, ASKED)


def received(letter):
    """The mail as its reader's program sees it; whatever is malformed raises."""
    return message_from_bytes(letter.as_bytes(), policy=strict)


def parts(letter):
    return [part.get_content().replace("\r\n", "\n") for part in received(letter).iter_parts()]


class Seen(HTMLParser):
    """Collects what an HTML part shows and where it leads."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.words.append("" if tag == "a" else " ")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    @property
    def pages(self):
        """Where it leads, but for the telephone."""
        return [value for name, value in self.attributes if name == "href" and not value.startswith("tel:")]
