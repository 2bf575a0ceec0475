"""Passkeys (W3C Web Authentication): a device signs our challenge after the person's fingerprint, face or PIN.

The private key never leaves the device or its keeper, and signs for our host name only. As the device verified the
person (`userVerification`), a passkey alone is two factors (NIST SP 800-63B-4, 3.1.6): customers and clerks log in with
it without a password. What ends passkeys stands in services/accounts.py.

A challenge is signed with SECRET_KEY, so that showing a login page writes nothing, and is accepted once. Whoever knows
SECRET_KEY can make challenges, and still needs the private key to answer them.
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal.models import (
    ENDS_WITH_PASSWORD,
    AccountLink,
    Clerk,
    Customer,
    LinkState,
    LoginSession,
    Passkey,
    UsedPuzzle,
)
from kmzportal.services import devices, links, sessions
from kmzportal.services.refusals import ChangedMeanwhile, Refusal
from kmzportal.services.sessions import NewSession, PersonTable
from kmzportal.services.tokens import LinkKeys
from kmzportal.services.transaction import Transaction, insert_once
from kmzportal.settings import relying_party

if TYPE_CHECKING:
    from webauthn.helpers.structs import AuthenticationCredential, RegistrationCredential

MAX_PASSKEYS = 10  # of an account
LONGEST_NAME = 60
CHANGES_PER_DAY = 30
LOGINS_PER_HOUR = 60  # with one passkey: they cost no hash, and each leaves a session and an event
DEEPEST_CBOR = 4  # levels (CTAP 2.2, 8)
ATTESTED, EXTENDED = 0x40, 0x80  # flags: a new key, extensions (WebAuthn, 6.1)
CHALLENGE_LIFETIME = timedelta(minutes=30)  # the browser's own offer waits as long as the login page is open
#: Verified in place of an unknown passkey, so that both take as long; its private key was thrown away.
DECOY = "pQECAyYgASFYIFNTP_Dh-foCIHk1eP3IwzxIkUF4D80IDNv6Shx0_gguIlggtirANlOnlyWEwBNNF0rJgBDzpshf7X41DuzyClY_R6k"


class PasskeyRefused(Refusal):
    """The answer of the browser is malformed, late or used, or nothing that can be added."""

    message = "Das hat nicht geklappt. Versuchen Sie es bitte noch einmal."


class TooManyPasskeys(Refusal):
    """The account has MAX_PASSKEYS passkeys."""

    message = f"Sie haben schon {MAX_PASSKEYS} Passkeys. Entfernen Sie zuerst einen, den Sie nicht mehr brauchen."


class TooManyChanges(Refusal):
    """Passkeys were added or renamed CHANGES_PER_DAY times today; each is mailed."""

    message = "Sie haben Ihre Passkeys heute schon oft geändert. Morgen geht es wieder. Entfernen geht auch jetzt."


class OnlyFactor(Refusal):
    """The clerk has no other second factor, and the office demands one."""

    message = (
        "Das ist Ihr einziger zweiter Faktor. Ohne ihn kämen Sie nicht mehr hinein. Legen Sie zuerst einen anderen an."
    )


class Answer(NamedTuple):
    """What the browser sent for a challenge, parsed and not yet verified."""

    credential: "AuthenticationCredential | RegistrationCredential"
    challenge: bytes


def all_of(session: Session, person: Customer | Clerk) -> Sequence[Passkey]:
    return session.scalars(select(Passkey).where(_owner(person)).order_by(Passkey.id)).all()


def of_other_hosts(session: Session, settings: Mapping[str, Any]) -> dict[str, int]:
    """Return how many passkeys PUBLIC_URL makes useless, by the host name that they were added under."""
    party = relying_party(settings)
    others = select(Passkey.host, func.count().label("number")).where(Passkey.host != (party.host if party else ""))
    return {row.host: row.number for row in session.execute(others.group_by(Passkey.host))}


def _owner(person: Customer | Clerk) -> ColumnElement[bool]:
    return (Passkey.clerk_id if isinstance(person, Clerk) else Passkey.customer_id) == person.id


# What the pages tell the browser


def request_options(settings: Mapping[str, Any], purpose: str, mine: Iterable[Passkey] = ()) -> str:
    """Return the options of `navigator.credentials.get` in JSON, empty where there are no passkeys.

    `purpose`: what the answer is good for; `mine`: the only passkeys that may answer.
    """
    party = relying_party(settings)
    if party is None:
        return ""
    allowed = [{"type": "public-key", "id": passkey.credential_id} for passkey in mine]
    options = {"rpId": party.host, "userVerification": "required", "allowCredentials": allowed}
    return json.dumps(options | {"challenge": _base64(_new_challenge(settings, purpose))})


def creation_options(settings: Mapping[str, Any], keys: LinkKeys, person: Customer | Clerk, purpose: str) -> str:
    """Return the options of `navigator.credentials.create` in JSON, empty where there are no passkeys.

    Devices that hold a passkey of the person refuse to add another.
    """
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    party = relying_party(settings)
    if party is None:
        return ""
    options = generate_registration_options(
        rp_id=party.host,
        rp_name=settings["OFFICE_NAME"],
        user_id=_bytes(_user_handle(keys, person)),
        user_name=person.email,
        user_display_name=person.name,
        challenge=_new_challenge(settings, purpose),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(_bytes(one.credential_id)) for one in person.passkeys],
    )
    return options_to_json(options)


def _user_handle(keys: LinkKeys, person: Customer | Clerk) -> str:
    """Return a keyed hash of the account: devices store it, so it contains no name."""
    return keys.fingerprint(f"passkeys:{person.__tablename__}:{person.id}")


def _new_challenge(settings: Mapping[str, Any], purpose: str) -> bytes:
    return str(_signer(settings).dumps([purpose, secrets.token_urlsafe(16)])).encode()


def _signer(settings: Mapping[str, Any]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings["SECRET_KEY"], salt="passkey challenge")


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


# What the browser answers


def read(text: str) -> Answer:
    """Parse the JSON of a browser's answer; raises PasskeyRefused. Called before a transaction begins.

    The library, with cryptography, takes 14 MiB and some tenths of a second to load: only whoever uses a passkey waits.
    """
    from webauthn.helpers import (
        parse_authentication_credential_json,
        parse_client_data_json,
        parse_registration_credential_json,
    )
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        answers = json.loads(text)["response"]
        parse = (
            parse_registration_credential_json
            if "attestationObject" in answers
            else parse_authentication_credential_json
        )
        credential = parse(text)
        _check_cbor(credential)
        if credential.id != _base64(credential.raw_id):  # looked up, so only of the characters of base64url
            raise PasskeyRefused
        return Answer(credential, parse_client_data_json(credential.response.client_data_json).challenge)
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise PasskeyRefused from None


def _check_cbor(credential: "AuthenticationCredential | RegistrationCredential") -> None:
    """Raise an error for CBOR that no device sends (CTAP 2.2, 8), before the library decodes it.

    It decodes before it verifies the signature, tags included: a regular expression or a value that refers to itself,
    in a few bytes of a stranger, took minutes.
    """
    from webauthn.helpers import parse_cbor
    from webauthn.helpers.structs import RegistrationCredential

    if isinstance(credential, RegistrationCredential):
        attestation = credential.response.attestation_object
        _end_of_cbor(attestation, 0)
        data, attested = parse_cbor(attestation)["authData"], ATTESTED
    else:
        data, attested = credential.response.authenticator_data, 0
    flags, at = data[32], 37  # WebAuthn, 6.1: hash of the host, flags, counter
    if flags & ATTESTED != attested:
        raise PasskeyRefused
    if attested:  # 16 bytes, the length of the id in 2, the id, its key
        at = _end_of_shortest_cbor(data, 55 + int.from_bytes(data[53:55]))
    if flags & EXTENDED:
        at = _end_of_shortest_cbor(data, at)
    if at != len(data):
        raise PasskeyRefused


def _end_of_shortest_cbor(data: bytes, at: int) -> int:
    """Return where the item that begins at `at` ends; raises PasskeyRefused if it could be shorter.

    The library takes an item to be as long as what it encodes again, and would go on reading inside of a longer one.
    """
    from webauthn.helpers import encode_cbor, parse_cbor

    end = _end_of_cbor(data, at)
    if encode_cbor(parse_cbor(data[at:end])) != data[at:end]:
        raise PasskeyRefused
    return end


def _end_of_cbor(data: bytes, at: int, level: int = 0) -> int:
    """Return where the item that begins at `at` ends (RFC 8949, 3).

    Raises PasskeyRefused for tags, indefinite lengths and more than DEEPEST_CBOR levels, IndexError where data is
    missing.
    """
    kind, value = data[at] >> 5, data[at] & 0x1F
    if kind == 6 or value > 27 or level > DEEPEST_CBOR:
        raise PasskeyRefused
    at += 1
    if value > 23:
        size = 1 << (value - 24)
        at, value = at + size, int.from_bytes(data[at : at + size])
    if kind in (2, 3):  # bytes and text
        return at + value
    for _ in range({4: value, 5: 2 * value}.get(kind, 0)):  # arrays and maps
        at = _end_of_cbor(data, at, level + 1)
    return at


def _accept_challenge(tx: Transaction, answer: Answer, purpose: str) -> None:
    """Use up the challenge; raises PasskeyRefused for one that we did not make for this, an old or a used one."""
    try:
        asked, nonce = _signer(tx.settings).loads(answer.challenge, max_age=CHALLENGE_LIFETIME.seconds)
    except BadData:
        raise PasskeyRefused from None
    used = {"puzzle": f"passkey:{nonce}", "expires_at": tx.now + CHALLENGE_LIFETIME}
    if asked != purpose or not insert_once(tx.session, UsedPuzzle, used):
        raise PasskeyRefused


def _verify(tx: Transaction, answer: Answer, passkey: Passkey | None) -> bool:
    """Return whether the passkey answered; one that was copied is refused and its holder told (WebAuthn, 6.1.1)."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException
    from webauthn.helpers.structs import AuthenticationCredential

    party, credential = relying_party(tx.settings), answer.credential
    if party is None or not isinstance(credential, AuthenticationCredential):
        return False
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            credential_public_key=_bytes(passkey.public_key if passkey else DECOY),
            credential_current_sign_count=0,  # compared below: only after the signature it is the device's own
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return False
    handle = credential.response.user_handle
    if passkey is None or (handle and _base64(handle) != passkey.user_handle):
        return False
    count = verified.new_sign_count
    if (count or passkey.sign_count) and count <= passkey.sign_count:
        _warn_of_copy(tx, passkey)
        return False
    passkey.sign_count, passkey.last_used = count, tx.now
    return True


def _warn_of_copy(tx: Transaction, passkey: Passkey) -> None:
    if holder := passkey.holder:
        tx.record("passkey.copied", holder, passkey=passkey.name)
        if tx.count(f"copied:{passkey.id}", tx.now.replace(hour=0, minute=0, second=0, microsecond=0)) == 1:
            tx.warn("passkeys_changed", holder, act="copied", passkey=passkey.name)


def is_slow(tx: Transaction, answer: Answer, table: PersonTable = Customer) -> bool:
    """Return whether the source is over its limit, and the device not known to the account of this passkey."""
    passkey = tx.session.scalar(_for_login(answer, table))
    return sessions.source_over_limit(tx) and devices.find(tx, passkey.holder if passkey else None) is None


def _for_login(answer: Answer, table: PersonTable) -> Select[Any]:
    owner = Passkey.clerk_id if table is Clerk else Passkey.customer_id
    return select(Passkey).where(Passkey.credential_id == answer.credential.id, owner.is_not(None))


def log_in(tx: Transaction, answer: Answer, device: str, table: PersonTable = Customer) -> NewSession | None:
    """Return a new session, of a clerk without a further code, or None. A failure is counted in the same transaction.

    Unknown, removed, locked, throttled and forged differ only in what is recorded (OWASP ASVS 6.3.8). Raises
    PasskeyRefused for a challenge that is late or used.
    """
    _accept_challenge(tx, answer, f"login:{table.__tablename__}")  # first, so that no answer tells who is throttled
    wanted = _for_login(answer, table)
    passkey = tx.session.scalar(wanted)
    person = passkey.holder if passkey else None
    if person:  # and read again: it may have ended meanwhile
        tx.lock(person)
        passkey = tx.session.scalar(wanted.execution_options(populate_existing=True))
    key = sessions.OF_PASSKEYS + tx.keys.fingerprint(f"passkey:{answer.credential.id}")
    known = devices.find(tx, person)
    if known is None and sessions.is_throttled(tx, key, disables=False):
        sessions.record_throttled(tx, key, lambda: person, device)
        return None
    if not _verify(tx, answer, passkey) or passkey is None or person is None or person.locked_at:
        sessions.count_failure(tx, key, person if known else None, known)
        sessions.record_refused(tx, person, device)
        return None
    if tx.count(f"passkey-logins:{passkey.id}", tx.hour) > LOGINS_PER_HOUR:
        sessions.record_throttled(tx, key, lambda: person, device)
        return None
    sessions.clear_throttle(tx, key)
    return sessions.start(tx, person, device, passkey=passkey.name)


def confirm(
    tx: Transaction, person: Customer | Clerk, login_session: LoginSession, answer: Answer
) -> NewSession | None:
    """Store that one of the person's own passkeys answered, in place of the current password or the second factor.

    Returns the session with a new token, or None. Failures are counted by session. Raises PasskeyRefused.
    """
    _accept_challenge(tx, answer, f"confirm:{login_session.id}")
    tx.lock(person)
    key = tx.keys.fingerprint(f"passkey:session:{login_session.id}")
    mine = select(Passkey).where(_owner(person), Passkey.credential_id == answer.credential.id)
    passkey = tx.session.scalar(mine)
    if sessions.is_throttled(tx, key, disables=False):
        return None
    if not _verify(tx, answer, passkey) or passkey is None:
        sessions.count_try(tx, key)
        tx.record("passkey.refused", person)
        return None
    sessions.clear_throttle(tx, key)
    login_session.password_checked_at = tx.now
    tx.record("passkey.proved", person, passkey=passkey.name)
    return sessions.renew_token(login_session)


# Changes


def add(
    tx: Transaction,
    person: Customer | Clerk,
    answer: Answer,
    purpose: str,
    name: str,
    keep: LoginSession | None = None,
) -> Passkey:
    """Store a new passkey and notify its holder; raises PasskeyRefused, TooManyPasskeys.

    As a clerk's first second factor it ends all sessions but `keep`: the password alone began them.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException
    from webauthn.helpers.structs import RegistrationCredential

    tx.lock(person)
    if len(all_of(tx.session, person)) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    party = relying_party(tx.settings)
    if party is None or not isinstance(answer.credential, RegistrationCredential):
        raise PasskeyRefused
    _accept_challenge(tx, answer, purpose)
    try:
        verified = verify_registration_response(
            credential=answer.credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise PasskeyRefused from None
    if keep and isinstance(person, Clerk):
        _end_other_access(tx, person, keep)
    credential_id = _base64(verified.credential_id)
    passkey = Passkey(
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        credential_id=credential_id,
        public_key=_base64(verified.credential_public_key),
        user_handle=_user_handle(tx.keys, person),
        host=party.host,
        sign_count=verified.sign_count,
        name=name,
        created_at=tx.now,
    )
    try:
        tx.session.add(passkey)
        tx.session.flush()
    except IntegrityError:  # WebAuthn, 7.1: this id exists, of whichever account
        raise PasskeyRefused from None
    _changed(tx, person, "added", name)
    return passkey


def _end_other_access(tx: Transaction, clerk: Clerk, keep: LoginSession) -> None:
    """End an open first link, whose holder would need no passkey, and without a second factor all other sessions."""
    links.end(tx, clerk, LinkState.REPLACED, ENDS_WITH_PASSWORD)
    if not clerk.has_factor:
        sessions.end_all(tx, clerk, keep)
        devices.end_all(tx, clerk, keep_this=True)


def rename(tx: Transaction, person: Customer | Clerk, passkey_id: int, name: str) -> None:
    """Change the name; raises ChangedMeanwhile where the person has no such passkey, as the next."""
    passkey = _own(tx, person, passkey_id)
    if name != passkey.name:
        passkey.name = name
        _changed(tx, person, "renamed", name)


def remove(tx: Transaction, person: Customer | Clerk, passkey_id: int, keep: LoginSession) -> None:
    """Remove a passkey and end all sessions but `keep`: it may have begun them on a stolen device.

    Raises OnlyFactor for a clerk who could not log in without it.
    """
    passkey = _own(tx, person, passkey_id)
    demanded = tx.settings["STAFF_SECOND_FACTOR"]
    has_app = isinstance(person, Clerk) and person.factor_nonce and demanded == "required"
    if isinstance(person, Clerk) and demanded != "offered" and not has_app and len(all_of(tx.session, person)) == 1:
        raise OnlyFactor
    tx.session.delete(passkey)
    sessions.end_all(tx, person, keep)
    _changed(tx, person, "removed", passkey.name)


def _own(tx: Transaction, person: Customer | Clerk, passkey_id: int) -> Passkey:
    found = tx.session.scalar(select(Passkey).where(Passkey.id == passkey_id, _owner(person)))
    if found is None:
        raise ChangedMeanwhile
    return found


def _changed(tx: Transaction, person: Customer | Clerk, what: str, name: str) -> None:
    today = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    number = tx.count(f"passkeys:{person.__tablename__}:{person.id}", today)
    first_link = isinstance(person, Clerk) and tx.actor.startswith("link:")  # always works, as it is the remedy
    if number > CHANGES_PER_DAY and what != "removed" and not first_link:
        raise TooManyChanges
    tx.record(f"passkey.{what}", person, passkey=name)
    tx.warn("passkeys_changed", person, act=what, passkey=name)


def take_away(tx: Transaction, person: Customer | Clerk) -> list[str]:
    """Remove all passkeys, return their names, and end the offer on Fertig: it may be open in a thief's browser."""
    if isinstance(person, Customer) and person.passkey_offered_at:
        person.passkey_offered_at = tx.now
    return end_all(tx, person)


def is_offered(link: AccountLink, now: datetime, lifetime: int) -> bool:
    """Return whether this link set a customer's password in the last `lifetime` seconds: who used it knows that one.

    Once: not after an earlier link offered one, and not to customers who have a passkey.
    """
    customer = link.customer
    if customer is None or link.ended_at is None or customer.password_set_at != link.ended_at:
        return False
    lately = (now - link.ended_at).total_seconds() < lifetime
    counts = customer.password_hash and not customer.locked_at  # the desk deletes one that may be stolen
    return bool(lately and counts) and customer.passkey_offered_at == link.ended_at and not customer.passkeys


def end_all(tx: Transaction, person: Customer | Clerk, stay: Iterable[int] = ()) -> list[str]:
    """Remove all passkeys of the account but those with the ids `stay`; return their names."""
    ended = [passkey for passkey in all_of(tx.session, person) if passkey.id not in set(stay)]
    for passkey in ended:
        tx.session.delete(passkey)
        tx.record("passkey.ended", person, passkey=passkey.name)
    return [passkey.name for passkey in ended]
