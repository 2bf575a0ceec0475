"""Mail addresses as they are pasted, compared and refused."""

import pytest

from kmzportal import mail_address
from kmzportal.mail_address import InvalidAddress, canonical, parse

ERIKA = "erika.mustermann@schule.example"


@pytest.mark.parametrize(
    "typed",
    [
        f"  {ERIKA}\t\n",
        f"\u00a0{ERIKA}\u2003",
        f"\u200b{ERIKA}\ufeff",
        "erika.\u00admustermann@\u200dschule.example",
        f"\u2066{ERIKA}\u2069",
        f"\u202e{ERIKA}",
        f"mailto:{ERIKA}",
        f"MailTo: {ERIKA}",
        f"Erika Mustermann <{ERIKA}>",
        f'"Mustermann, Erika" < {ERIKA} >',
        f"Erika <mailto:{ERIKA}>",
        f"{ERIKA}.",
        f"{ERIKA};",
        f'"{ERIKA}"',
        f"„{ERIKA}“; ",
        f"'{ERIKA};'",
        f"<{ERIKA}>;",
        "ｅｒｉｋａ．ｍｕｓｔｅｒｍａｎｎ＠ｓｃｈｕｌｅ．ｅｘａｍｐｌｅ",
    ],
)
def test_a_pasted_address_is_parsed(typed):
    assert parse(typed) == ERIKA


def test_the_case_of_the_local_part_is_kept():
    assert parse("Erika.Mustermann@SCHULE.example") == "Erika.Mustermann@schule.example"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Erika.Mustermann@SCHULE.example", ERIKA),
        ("Mueller@SCHULE.de", "mueller@schule.de"),
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("A@MÜNSTER.example", "a@münster.example"),
        ("a@mu\u0308nster.example", "a@xn--mnster-3ya.example"),
        ("a@schule。example", "a@schule.example"),
        ("\u212aatja@schule.example", "katja@schule.example"),
    ],
)
def test_spellings_of_one_address_are_equal(one, other):
    assert canonical(one) == canonical(other) == canonical(canonical(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@straße.example", "a@strasse.example"),
        ("i@schule.example", "l@schule.example"),
        ("erika+kmz@schule.example", "erika@schule.example"),
        ("er.ika@schule.example", "erika@schule.example"),
        ("i@schıle.example", "i@schile.example"),
        ("i@schİle.example", "i@schile.example"),
        ("a@schule.example", "a@schulе.example"),  # the last e is Cyrillic
    ],
)
def test_different_addresses_stay_different(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "erika",
        "erika@",
        "@schule.example",
        "erika@schule",
        "erika@localhost",
        "erika mustermann@schule.example",
        "erika@schule.example, max@schule.example",
        "erika@schule.example\r\nBcc: alle@schule.example",
        "er\x00ika@schule.example",
        "max.mİller@schule.example",
        "max.mıller@schule.example",
        "müller@schule.example",
        "erikа@schule.example",  # the а is Cyrillic
        "erika@[127.0.0.1]",
        "Erika <erika@schule.example> <max@schule.example>",
        f"e@{'s' * 250}.example",
    ],
)
def test_other_text_is_refused(typed):
    with pytest.raises(InvalidAddress):
        parse(typed)
    with pytest.raises(InvalidAddress):
        canonical(typed)


@pytest.mark.parametrize(
    ("address", "letter"), [("müller@gs.example", "ü"), ("Großer.ort@gs.example", "ß"), ("rené@x.de", "é")]
)
def test_a_letter_that_no_address_has_before_the_at_is_named(address, letter):
    with pytest.raises(InvalidAddress) as refusal:
        parse(address)
    assert refusal.value.hint.startswith(f"Vor dem @ steht „{letter}“. ")


def test_an_apostrophe_alone_may_begin_an_address():
    assert parse("'t.hooft@schule.example") == "'t.hooft@schule.example"


KNOWN = {"gms-ngold.example", "kmz.example", "gmx.de"}


@pytest.mark.parametrize(
    ("domain", "ascii_form", "known"),
    [
        ("gms-ng\u043eld.example", "xn--gms-ngld-sbh.example", "gms-ngold.example"),
        ("xn--gms-ngld-sbh.example", "xn--gms-ngld-sbh.example", "gms-ngold.example"),
        ("gms-ng0ld.example", "gms-ng0ld.example", "gms-ngold.example"),
        ("gms-ngolt.example", "gms-ngolt.example", "gms-ngold.example"),
        ("gms-ngöld.example", "xn--gms-ngld-s4a.example", "gms-ngold.example"),
        ("kmz.exarnple", "kmz.exarnple", "kmz.example"),
        ("\u0430\u0440\u0440\u04cf\u0435.example", "xn--80ak6aa92e.example", None),
        ("schule-m\u0438tte.example", "xn--schule-mtte-wlj.example", None),
    ],
)
def test_a_domain_that_looks_like_a_known_one_or_has_foreign_letters_is_named_in_ascii(domain, ascii_form, known):
    found = mail_address.lookalike(f"erika@{domain}", KNOWN)
    assert (found.ascii, found.known) == (ascii_form, known)
    assert ascii_form in found.warning and (known or "ungewöhnliche Zeichen") in found.warning


@pytest.mark.parametrize("domain", [*sorted(KNOWN), "neue-schule.example", "schule-müller.example", "web.de"])
def test_a_known_domain_and_one_unlike_all_known_ones_deceive_nobody(domain):
    assert mail_address.lookalike(f"erika@{domain}", KNOWN) is None
    assert mail_address.spelled_out(f"erika@{domain}") == f"erika@{domain}"


def test_an_address_is_shown_with_its_ascii_domain_where_that_has_letters_other_than_german_ones():
    assert mail_address.spelled_out("e@gms-ng\u043eld.example").endswith(" (xn--gms-ngld-sbh.example)")


@pytest.mark.parametrize("text", ["\ufdfa" * 1016, "a@" + "\ufdfa" * 1000])
def test_what_becomes_very_long_when_it_is_normalized_is_refused_at_once(text):
    with pytest.raises(InvalidAddress) as refused:
        parse(text)
    assert len(str(refused.value)) <= mail_address.MAX_LENGTH  # looking for the cause is quadratic in its length


@pytest.mark.parametrize("text", ["=?utf-8?q?a?=@schule.example", "＝？utf-8?q?a?＝@schule.example"])
def test_an_encoded_word_is_refused_in_any_width(text):
    with pytest.raises(InvalidAddress):
        parse(text)
