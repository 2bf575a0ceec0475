"""The device cookie: a browser that logged in before is not kept out by the failures of others, and opens nothing."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from kmzportal.models import KnownDevice, LinkKind, LoginSession, RecoveryRequest, Throttle
from kmzportal.services import accounts, deletion, devices, passwords, recovery, sessions
from kmzportal.services.passwords import check_password, hash_password
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.shares import Holder
from kmzportal.services.tokens import token_hash
from kmzportal.web.auth import known_device
from tests import people, secret_scan
from tests.browser import SOURCE, Browser, only, words

pytestmark = pytest.mark.usefixtures("clock")
COOKIE = "__Host-kmzportal-device"
LOGINS = {"erika": "/anmelden", "rosa": "/kundenservice/anmelden"}
INSIDE = {"erika": "/einstellungen", "rosa": "/kundenservice/kunden"}
WRONG, REFUSED = "falsches passwort", "Falsche Zugangsdaten"
both = pytest.mark.parametrize("who", LOGINS)


def cookie(browser):
    """Return the value of the device cookie, or None."""
    stored = browser.client.get_cookie(COOKIE, urlsplit(browser.site).hostname)
    return stored.value if stored else None


def plant(browser, token):
    browser.client.set_cookie(COOKIE, token, domain=urlsplit(browser.site).hostname, secure=True)
    return browser


def log_out(browser):
    browser.client.delete_cookie("__Host-kmzportal", domain=urlsplit(browser.site).hostname)
    return browser


@pytest.fixture
def person(request, who):
    return request.getfixturevalue(who)


@pytest.fixture
def enter(app, backend, who, person):
    """Log the person in, a clerk also with a code; returns whether that worked. The session of before ends."""
    factor = backend.add_second_factor(person) if who == "rosa" else None
    codes = iter(factor.recovery_codes if factor else ())

    def enter(browser, password=None):
        log_out(browser).log_in(person, password, LOGINS[who])
        if browser.path == "/kundenservice/zweiter-faktor":
            browser.submit("Weiter", {"Code aus der App": next(codes)})
        return browser.path == INSIDE[who]

    return enter


@pytest.fixture
def attack(app, backend, who, person, clock):
    """Send 200 wrong passwords, after which the account takes none from unknown devices; return that browser."""

    def attack(source):
        stranger = Browser(app)
        stranger.client.environ_base["REMOTE_ADDR"] = source
        for _ in range(200):
            assert REFUSED in stranger.log_in(person, WRONG, LOGINS[who]).text
            clock.shift(timedelta(hours=1))
        return stranger

    return attack


@pytest.fixture
def switch_off(backend, who, person):
    """Store as many failures of the account as such an attack leaves."""
    account = backend.keys.fingerprint(f"{person.THROTTLE_PREFIX}{person.email_canonical}")
    return lambda: backend.add(Throttle(account=account, failures=200, failed_at=people.NOW))


@both
@pytest.mark.parametrize("source", ["203.0.113.9", pytest.param(SOURCE, marks=pytest.mark.trial)])
def test_two_hundred_wrong_logins_of_others_keep_no_known_device_out_also_behind_the_same_address(
    app, enter, attack, clock, source
):
    known = Browser(app)
    assert enter(known)
    clock.shift(timedelta(days=200))
    stranger = attack(source)
    assert enter(known)
    assert not enter(stranger), "from an unknown device the password is off"
    clock.shift(timedelta(days=200))
    assert enter(known)


@both
def test_made_up_addresses_of_the_same_school_keep_no_known_device_out(app, enter, who):
    known, stranger = Browser(app), Browser(app)
    assert enter(known)
    for number in range(31):
        stranger.open(LOGINS[who])
        stranger.submit("Anmelden", {"E-Mail-Adresse": f"unbekannt{number}@schule.example", "Passwort": WRONG})
    assert enter(known)


@both
def test_five_wrong_passwords_end_the_device_and_a_right_one_begins_anew(app, backend, enter, switch_off):
    known = Browser(app)
    assert enter(known)
    switch_off()
    for _ in range(2):
        for _ in range(4):
            assert not enter(known, WRONG)
        assert enter(known)
    for _ in range(5):
        assert not enter(known, WRONG)
    assert not enter(known), "it is throttled as any other now"
    assert "device.ended" in backend.actions()
    assert backend.read(select(KnownDevice)) == []


@both
def test_a_copied_cookie_opens_nothing_without_the_password_and_gives_five_tries_once(
    app, backend, enter, switch_off, who
):
    known = Browser(app)
    assert enter(known)
    switch_off()
    thief = plant(Browser(app), cookie(known))
    assert thief.open(INSIDE[who]).path == LOGINS[who]
    for _ in range(5):
        assert not enter(thief, WRONG)
    assert not enter(thief)


@pytest.mark.parametrize("who", ["erika"])
def test_a_device_of_one_account_helps_no_other(app, max_, enter, switch_off, clock):
    stranger = Browser(app).log_in(max_)
    assert stranger.path == "/einstellungen"
    plant(other := Browser(app), cookie(stranger))
    switch_off()
    assert not enter(other)
    assert cookie(other) == cookie(stranger)


@pytest.mark.parametrize("who", ["erika"])
def test_a_cookie_that_somebody_planted_is_replaced_by_the_first_login_and_the_other_account_moves_along(
    app, max_, enter, switch_off
):
    thief = Browser(app).log_in(max_)
    browser = plant(Browser(app), cookie(thief))
    assert enter(browser)
    assert cookie(browser) != cookie(thief)
    switch_off()
    assert not enter(thief)
    assert enter(browser)
    assert log_out(browser).log_in(max_).path == "/einstellungen"
    assert enter(browser), "the browser is known for both"


def test_a_browser_is_known_for_the_five_accounts_that_logged_in_last(app, backend, erika, clock):
    browser = Browser(app)
    for number in range(6):
        customer = people.person(people.ERIKA | {"number": f"K-90{number}", "email": f"k{number}@schule.example"})
        customer.set_password_hash(erika.password_hash, people.NOW)
        backend.add(customer)
        log_out(browser).log_in(customer, people.password_of(erika))
        clock.shift(60)
    rows = backend.read(select(KnownDevice).order_by(KnownDevice.id))
    assert len({row.token_hash for row in rows}) == 1
    assert [row.customer_id for row in rows] == [customer.id - 4 + number for number in range(5)]


def test_many_logins_of_who_knows_the_password_do_not_make_the_owners_device_unknown(
    app, backend, erika, clock, monkeypatch
):
    """Otherwise the failures of strangers would count for it, and nobody would be told."""
    monkeypatch.setattr(devices, "MAX_DEVICES", 3)
    hers = Browser(app).log_in(erika)
    clock.shift(timedelta(days=2))
    log_out(hers).log_in(erika)
    for _ in range(5):
        clock.shift(1)
        assert Browser(app).log_in(erika).path == "/einstellungen"
    rows = backend.read(select(KnownDevice.token_hash))
    assert len(rows) == 3 and token_hash(cookie(hers)) in rows


@both
def test_only_a_complete_login_sets_the_cookie_which_is_not_stored(app, backend, person, enter, who):
    browser = Browser(app)
    browser.log_in(person, WRONG, LOGINS[who])
    assert cookie(browser) is None
    if who == "rosa":
        browser.log_in(person, path=LOGINS[who])
        assert (browser.path, cookie(browser)) == ("/kundenservice/zweiter-faktor", None)
    assert enter(browser)
    [sent] = [
        header
        for answer in (*browser.answer.history, browser.answer)
        for header in answer.headers.getlist("Set-Cookie")
        if header.startswith(COOKIE)
    ]
    token, *attributes = sent.removeprefix(f"{COOKIE}=").split("; ")
    assert {*attributes} > {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", f"Max-Age={400 * 24 * 3600}"}
    assert len(token) == 43
    secret_scan.check(app, token)
    assert not enter(browser, WRONG)
    assert cookie(browser) == token, "a refused login neither changes nor removes it"


@pytest.mark.parametrize("who", ["erika"])
def test_the_browser_that_set_the_password_by_link_becomes_known(app, person, issue, mailed, switch_off):
    browser = Browser(app)
    browser.open(mailed(issue(LinkKind.RECOVERY, person)))
    browser.submit("Passwort speichern", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD})
    switch_off()
    assert browser.log_in(person, people.NEW_PASSWORD).path == "/einstellungen"
    assert REFUSED in Browser(app).log_in(person, people.NEW_PASSWORD).text


@pytest.mark.parametrize("who", ["rosa"])
def test_a_first_link_lets_its_clerk_in_however_often_strangers_fail_meanwhile(
    app, backend, person, issue, mailed, attack
):
    """Such as on the first day, or on a new computer: what an admin sends must help."""
    browser = Browser(app)
    browser.open(mailed(issue(LinkKind.CLERK_FIRST, person))).submit(
        "Weiter", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD}
    )
    assert cookie(browser) is None, "not before the second factor"
    secret = words(only(browser.page.iter("code"), "secret"))
    browser.submit("Zugang einrichten", {"Code aus der App": backend.totp_code(secret)})
    code = words(next(iter(browser.page.iter("code"))))
    attack("203.0.113.9")
    browser.log_in(person, people.NEW_PASSWORD, LOGINS["rosa"]).submit("Weiter", {"Code aus der App": code})
    assert browser.open("/kundenservice").path == "/kundenservice/kunden"
    assert REFUSED in Browser(app).log_in(person, people.NEW_PASSWORD, LOGINS["rosa"]).text


@both
@pytest.mark.parametrize("why", ["password set by link", "locked", "not used for 400 days"])
def test_a_device_is_no_longer_known_after(app, backend, person, enter, switch_off, clock, who, why):
    known = Browser(app)
    assert enter(known)
    if why == "locked":
        backend.run(accounts.lock, person)
        backend.update(person, locked_at=None)
    elif why == "password set by link":
        backend.run(accounts.set_password, person, hash_password(people.password_of(person)))
    else:
        clock.shift(timedelta(days=400))
    switch_off()
    assert not enter(known)


@pytest.mark.parametrize("who", ["erika"])
@pytest.mark.parametrize("how", ["password", "end the others"])
def test_changing_the_password_and_ending_the_others_keep_this_device_only(app, person, enter, switch_off, adjust, how):
    mine, other = Browser(app), Browser(app)
    assert enter(other) and enter(mine)
    if how == "password":
        adjust(log_out(mine), person)
        mine.submit("Speichern", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD})
    else:
        mine.open("/einstellungen/geraete").press("Alle anderen Geräte abmelden")
    switch_off()
    password = people.NEW_PASSWORD if how == "password" else None
    assert not enter(other, password)
    assert enter(mine, password)


PAGES = {"erika": "/einstellungen/geraete", "rosa": "/kundenservice/zugang"}
END_OTHERS = "Alle anderen Geräte abmelden"


@both
def test_a_stolen_session_ends_neither_other_sessions_nor_known_devices(app, backend, person, enter, clock, who):
    """It could end each new login of the owner within a second, and have strangers' failures count for her again."""
    thief, owner, lifetime = Browser(app), Browser(app), app.config["PROOF_LIFETIME"]
    assert enter(thief)
    clock.shift(lifetime)
    assert enter(owner)
    of_owner = backend.read(select(LoginSession).order_by(LoginSession.id))[-1]
    base = PAGES[who].removesuffix("/geraete")
    paths = ["geraete/andere-beenden", f"geraete/{of_owner.id}/beenden"]
    if who == "rosa":
        paths += [f"bekannte-geraete/{known.id}/entfernen" for known in backend.read(select(KnownDevice))]
    for path in paths:
        answer = thief.post(f"{base}/{path}")
        assert answer.status_code == 303 or "Aktuelles Passwort" in answer.text, path
    assert len(backend.read(select(KnownDevice))) == 2 and owner.open(PAGES[who]).path == PAGES[who]
    assert "Alle anderen Geräte sind abgemeldet." in owner.press(END_OTHERS).text, "her login is fresh"
    assert thief.open(PAGES[who]).heading.startswith("Anmelden")


@both
def test_with_the_proof_an_old_session_ends_later_ones_too(app, backend, person, enter, clock, who):
    mine, later = Browser(app), Browser(app)
    assert enter(mine)
    clock.shift(app.config["PROOF_LIFETIME"])
    assert enter(later)
    mine.open(PAGES[who]).press(END_OTHERS)
    if who == "erika":
        mine.submit("Weiter", {"Aktuelles Passwort": people.password_of(person)})
        assert "Melden Sie die Geräte jetzt ab." in mine.text
    else:
        codes = SecondFactor(backend.factor_keys, backend.read(person).factor_nonce).recovery_codes
        mine.submit("Weiter", {"Code aus der App": codes[-1]})
    assert (mine.path, mine.press(END_OTHERS).status) == (PAGES[who], 200)
    assert later.open(PAGES[who]).path != PAGES[who] and len(backend.read(select(KnownDevice))) == 1


@pytest.mark.parametrize("who", ["erika"])
def test_a_browser_is_recognised_by_the_account_that_logged_in_last(app, enter, person):
    browser = Browser(app)
    assert enter(browser)
    unknown = (None, "", "x" * 43, "\xff\xfe", '"\\377"', "x" * 4000)
    for token, known in (*((token, False) for token in unknown), (cookie(browser), True)):
        headers = {"Cookie": f"{COOKIE}={token}"} if token is not None else {}
        with app.test_request_context(headers=headers, base_url=app.config["PUBLIC_URL"]):
            assert known_device() == (f"customer:{person.id}" if known else None)


@pytest.fixture
def holders(monkeypatch):
    """Who asked for each comparison of a password, from now on."""
    found, compare = [], passwords.check_password

    def note_and_compare(typed, known, holder, throttled=False):
        found.append(holder)
        return compare(typed, known, holder, throttled)

    monkeypatch.setattr(passwords, "check_password", note_and_compare)
    return found


def test_each_source_has_a_share_of_its_own_of_the_comparisons_of_passwords(app, erika, holders):
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1"):
        browser = Browser(app)
        browser.client.environ_base["REMOTE_ADDR"] = source
        browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": "falsches passwort"})
    assert len(holders) == 6 and not any(holder.known for holder in holders)
    assert [holders.index(holder) for holder in holders] == [0, 1, 1, 3, 3, 5], "IPv6 by its network"


def test_all_devices_of_an_account_have_one_share_and_one_limit(app, backend, erika, holders, monkeypatch):
    """Logins without the cookie make any number of devices."""
    monkeypatch.setitem(app.config, "RECOVERY_PER_SOURCE", 0)
    browsers = [Browser(app).log_in(erika) for _ in range(3)]
    holders.clear()
    for browser in browsers:
        log_out(browser).log_in(erika)
        for number in range(recovery.PER_KNOWN_DEVICE):
            browser.open("/passwort-vergessen").submit(
                "Link anfordern", {"E-Mail-Adresse": f"x{number}@nirgends.example"}
            )
    assert holders == [Holder(f"customer:{erika.id}", known=True)] * 3
    assert len(backend.read(select(RecoveryRequest))) == recovery.PER_KNOWN_DEVICE


@pytest.mark.parametrize("who", ["erika"])
def test_whoever_guesses_in_a_stolen_session_takes_no_turns_of_the_owners_logins(app, person, enter, holders):
    """Her login on a known device has the same turns: guesses that are not even compared kept it waiting."""
    thief = Browser(app)
    assert enter(thief)
    holders.clear()
    for _ in range(30):
        thief.open("/einstellungen/daten").submit("Weiter", {"Aktuelles Passwort": WRONG})
    assert len(holders) == app.config["THROTTLE_FREE_FAILURES"] + 1


@both
def test_a_refusal_looks_the_same_with_and_without_a_known_device(app, person, max_, enter, who):
    """Not even whose device it is shows, nor that its five tries are used up."""
    known, another = Browser(app), Browser(app)
    assert enter(known)
    log_out(another).log_in(max_)
    answers = []
    for browser in (Browser(app), *[log_out(known)] * 6, log_out(another)):
        browser.log_in(person, WRONG, LOGINS[who])
        body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', browser.answer.text)
        headers = [re.sub(r"=\S{60,};", "", value) for _, value in browser.answer.headers]
        answers.append((browser.status, body, sorted(headers)))
        log_out(browser)
    assert [answer == answers[0] for answer in answers] == [True] * len(answers)


@pytest.mark.parametrize("who", ["erika"])
def test_the_page_and_the_data_list_the_known_devices(app, backend, erika, enter, clock):
    other, browser = Browser(app), Browser(app)
    other.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"
    assert enter(other)
    clock.shift(timedelta(days=3))
    assert enter(browser)
    browser.open("/einstellungen/geraete")
    assert "Firefox unter Windows zuletzt angemeldet 23.11.2026, 14:05 Uhr" in browser.text
    assert "Browser – hier sind Sie gerade zuletzt angemeldet 26.11.2026, 14:05 Uhr" in browser.text
    browser.open("/einstellungen/daten").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    assert "Firefox unter Windows" in browser.text
    listed = browser.open("/einstellungen/daten.json").answer.json["Bekannte Geräte"]
    assert [row["Gerät"] for row in listed] == ["Browser", "Firefox unter Windows"]
    browser.open("/einstellungen/geraete").press("Alle anderen Geräte abmelden")
    assert "Firefox unter Windows" not in browser.text and "Browser – hier sind Sie gerade" in browser.text
    assert [mail.template for mail in backend.mails()] == ["sessions_ended"]


@pytest.mark.parametrize("who", ["erika"])
def test_of_twelve_known_devices_ten_are_shown_and_the_others_counted(app, enter, clock):
    for _ in range(12):
        browser = Browser(app)
        assert enter(browser)
        clock.shift(60)
    assert browser.open("/einstellungen/geraete").text.count("zuletzt angemeldet") == 10
    assert "Und 2 weitere." in browser.text


@pytest.mark.parametrize("who", ["erika"])
def test_thirty_concurrent_wrong_passwords_from_a_known_device_are_five_and_then_those_of_any(app, backend, enter):
    browser = Browser(app)
    assert enter(browser)
    token, check = cookie(browser), check_password(WRONG, None)

    def log_in(tx):
        tx.device_token = token
        return sessions.log_in(tx, people.ERIKA["email"], check, "Firefox")

    assert backend.run_concurrently(15, log_in) == [None] * 15
    actions = backend.actions()
    assert (actions.count("device.ended"), actions.count("login.refused")) == (1, 5 + 6)
    assert actions.count("login.throttled") == 1


@pytest.mark.parametrize("who", ["erika"])
def test_a_deleted_account_leaves_no_device(app, backend, erika, enter):
    assert enter(Browser(app))
    backend.run(deletion.delete_customer, erika, backend.read(erika).version, "Antrag", False, actor="clerk:1")
    assert backend.read(select(KnownDevice)) == []


@pytest.mark.parametrize("who", ["erika"])
def test_confirming_a_new_address_keeps_this_browser_and_an_objection_none(app, backend, erika, enter, mailed):
    mine, other = Browser(app), Browser(app)
    assert enter(other) and enter(mine)
    backend.run(accounts.request_address_change, erika, people.NEW_EMAIL)
    [confirmation, objection] = [mailed(backend.links(kind)[0]) for kind in (LinkKind.ADDRESS, LinkKind.OBJECTION)]
    mine.open(confirmation).press("Bestätigen")
    [row] = backend.read(select(KnownDevice))
    assert row.token_hash == token_hash(cookie(mine))
    Browser(app).open(objection).press("Das war ich nicht – Konto sperren")
    assert backend.read(select(KnownDevice)) == []
