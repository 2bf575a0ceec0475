"""Mail addresses: parsing what people type, the forms to store, compare and mail to, and domains that deceive."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import idna
from email_validator import EmailNotValidError, validate_email
from rapidfuzz.distance import OSA

from kmzportal.plain_text import clean, normalize

NAMED = re.compile(r"^[^<>]*<([^<>]+)>$")
SCHEME = re.compile(r"^\s*mailto:", re.IGNORECASE)
QUOTES = "\"'`´„“”‚‘’«»‹›"
END = " ;,."
MAX_LENGTH = 254  # RFC 5321, 4.5.3.1.3
LONGEST_TYPED = MAX_LENGTH * 4


class InvalidAddress(ValueError):
    """The text cannot be a mail address."""

    def __init__(self, text: str):
        super().__init__(text)
        foreign = re.search(r"[^\W_a-zA-Z0-9](?=[^@]*@)", text)
        #: A German sentence if a letter before the @ is the cause (RFC 6531 is supported by few servers), or empty.
        self.hint = (
            f"Vor dem @ steht „{foreign[0]}“. Dort sind keine Umlaute möglich, meist steht dort ae, oe, ue oder ss."
            if foreign
            else ""
        )


@lru_cache(maxsize=32)  # most callers also need the canonical form of the same address
def parse(text: str) -> str:
    """Return the address without surrounding blanks and quotes, `;`, `mailto:` and the name of `Name <mail>`.

    Keeps the local part as it was typed. Raises InvalidAddress.
    """
    if len(text) <= LONGEST_TYPED:
        text = clean(normalize("NFKC", text)).strip().rstrip(END)  # NFKC turns some characters into 18
    if len(text) > LONGEST_TYPED or "=?" in text:  # an encoded word (RFC 2047) would change the header
        raise InvalidAddress(text[:MAX_LENGTH])
    named = NAMED.match(text)
    plain = SCHEME.sub("", named[1] if named else text).strip().rstrip(END)
    if plain.endswith(tuple(QUOTES)):  # an apostrophe alone may begin an address
        plain = plain.strip(QUOTES + " ").rstrip(END)
    try:
        valid = validate_email(
            plain,
            allow_smtputf8=False,
            check_deliverability=False,
            test_environment=True,  # accept special-use domains such as .test and .example
        )
    except EmailNotValidError:
        raise InvalidAddress(text) from None
    return valid.normalized


def canonical(address: str) -> str:
    """Return the form in which addresses are compared: A-label domain, all case-folded; never mailed to.

    RFC 5321, 2.4 lets hosts distinguish the case of the local part; in practice none does. Raises InvalidAddress.
    """
    local, _, domain = parse(address).rpartition("@")
    return f"{local.casefold()}@{_ascii(domain)}"


def mailable(address: str) -> str:
    """Return the form for a mail server: local part unchanged, domain as A-label; raises InvalidAddress."""
    local, _, domain = parse(address).rpartition("@")
    return f"{local}@{_ascii(domain)}"


@lru_cache(maxsize=4096)
def _ascii(domain: str) -> str:
    """Return the A-label form of a domain; cached, as an import contains the same few hundred domains many times."""
    valid = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    return valid.ascii_domain.lower()


#: Mail providers where anyone can get an address under any name.
PROVIDERS = """
aol.com aol.de arcor.de email.de freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hotmail.com
hotmail.de icloud.com live.com live.de mail.com mail.de mailbox.org me.com msn.com outlook.com outlook.de pm.me
posteo.de posteo.net proton.me protonmail.com t-online.de tuta.com tuta.io tutamail.com tutanota.com tutanota.de
web.de yahoo.com yahoo.de yandex.com zoho.com zohomail.eu
"""
#: Rarer ones, of internet access, and for aliases or throwaway addresses; suggested for no mistyped domain.
RARER_PROVIDERS = """
10minutemail.com 126.com 163.com addy.io aim.com aleeas.com alice-dsl.de alice-dsl.net alice.de anonaddy.com
anonaddy.me aon.at autistici.org bk.ru bluewin.ch byom.de chello.at cock.li compuserve.com compuserve.de
consultant.com discard.email dispostable.com disroot.org dr.com duck.com eclipso.de eclipso.eu einrot.com email.com
emailn.de engineer.com epost.de europe.com ewe.net ewetel.net fastmail.com fastmail.de fastmail.fm firemail.de free.fr
germanymail.com gmx.biz gmx.co.uk gmx.es gmx.eu gmx.fr gmx.info gmx.li gmx.org gmx.us grr.la guerrillamail.com
guerrillamail.de hansenet.de hey.com hotmail.at hotmail.ch hotmail.co.uk hotmail.fr hotmail.it htp-tel.de hush.com
hushmail.com i.ua iname.com inbox.lv inbox.ru interia.pl internet.ru inventati.org kabelbw.de kabelmail.de keemail.me
laposte.net libero.it list.ru live.at live.ch live.fr live.nl lycos.de mac.com magenta.de mail.ru maildrop.cc
mailfence.com mailinator.com mailnesia.com mnet-mail.de mnet-online.de mozmail.com muellmail.com myself.com
nc-online.de netcologne.de netscape.net nexgo.de o2.pl o2mail.de o2online.de ok.de onet.pl online.de onlinehome.de
orange.fr osnanet.de outlook.at passfwd.com passinbox.com passmail.net post.com posteo.eu primacom.net
privaterelay.appleid.com protonmail.ch pyur.net qq.com rambler.ru riseup.net rocketmail.com runbox.com seznam.cz
sharklasers.com simplelogin.co simplelogin.com slmail.me smart-mail.de spoofmail.de startmail.com surfeu.de
teachers.org tele2.de temp-mail.org trash-mail.com trashmail.com trashmail.de trashmail.net ukr.net unitybox.de
usa.com versanet.de vodafone.de vodafonemail.de wegwerfemail.de wp.pl writeme.com ya.ru yahoo.co.uk yahoo.es yahoo.fr
yahoo.it yandex.de yandex.ru ymail.com yopmail.com zoho.eu zohomail.com
"""
FREE_MAIL = frozenset(f"{PROVIDERS} {RARER_PROVIDERS}".split())


def is_free_mail(address: str) -> bool:
    domain = address.rpartition("@")[2].casefold()
    return domain in FREE_MAIL or domain.partition(".")[2] in FREE_MAIL  # some give each customer a subdomain


def suggest_correction(address: str) -> str | None:
    """Return the address with the well-known domain that is one typo away, or None."""
    local, _, domain = address.rpartition("@")
    if is_free_mail(address):
        return None
    similar = sorted(known for known in PROVIDERS.split() if OSA.distance(domain.casefold(), known) == 1)
    return f"{local}@{similar[0]}" if similar else None


#: Letters that look like Latin ones (Unicode, UTS 39: confusables), as far as domains may contain them.
LOOKALIKES = str.maketrans(
    "аӓвдеёһіїјкӏмнопрԛгѕтцуүԝхʟαβγδεηικνορτυχωıɡɑƅ01",
    "aabaeehiijklmhonpqrstuyywxlabydenikvoptuxwigabol",
)
LETTER_PAIRS = {"rn": "m", "vv": "w"}
GERMAN = re.compile("[a-z0-9äöüß.-]+")


@dataclass(frozen=True)
class Lookalike:
    """A domain that may deceive the eye."""

    ascii: str  #: how mail servers read it
    known: str | None  #: the known domain that it looks like

    @property
    def warning(self) -> str:
        """What to check, in German."""
        looks = f"sieht fast aus wie {self.known}, ist aber eine andere" if self.known else "hat ungewöhnliche Zeichen"
        return f"Prüfen Sie die Adresse genau. Die Domain {looks}. In Wirklichkeit heißt sie {self.ascii}."


def lookalike(address: str, known: Iterable[str]) -> Lookalike | None:
    """Return whether the domain of a valid address looks like one of the `known` (A-labels), or has foreign letters.

    It looks like one if it differs in one letter, in accents, or in letters and digits that look alike.
    """
    domain, known = canonical(address).rpartition("@")[2], frozenset(known)
    if domain in known and domain.isascii() and "xn--" not in domain:
        return None
    like = {one for one in known - {domain} if _looks(one) == _looks(domain) or _is_typo(domain, one)}
    if not like and (domain in known or GERMAN.fullmatch(_unicode(domain))):
        return None
    return Lookalike(domain, min(like, default=None))


def _is_typo(domain: str, known: str) -> bool:
    return OSA.distance(domain, known, score_cutoff=1) == 1


@lru_cache(maxsize=16384)
def _looks(domain: str) -> str:
    """Return the same text for domains that look alike: without accents, each letter as the Latin one it resembles."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", _unicode(domain)) if not unicodedata.combining(one))
    plain = plain.translate(LOOKALIKES)
    for pair, letter in LETTER_PAIRS.items():
        plain = plain.replace(pair, letter)
    return plain


def _unicode(domain: str) -> str:
    try:
        return idna.decode(domain) if "xn--" in domain else domain
    except idna.IDNAError:
        return domain


def spelled_out(address: str) -> str:
    """Return the address to be shown: with its ASCII domain beside it where that has letters other than German ones."""
    domain = address.rpartition("@")[2].casefold()
    return address if GERMAN.fullmatch(_unicode(domain)) else f"{address} ({_ascii(domain)})"
