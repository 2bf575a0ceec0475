"""The pages of a link, from the mail to Fertig. Only POST changes data, and only the last POST redeems the link."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.routing import PathConverter
from wtforms import SelectMultipleField, StringField, ValidationError
from wtforms.validators import Length

from kmzportal.db import db
from kmzportal.mail.compose import subject_of
from kmzportal.models import AccountLink, Customer, LinkKind, LinkState, LinkVisit, LoginSession
from kmzportal.services import accounts, clerks, devices, guesses, kept_entries, links, outbox, passwords, sessions
from kmzportal.services import passkeys as passkey_service
from kmzportal.services.passkeys import PasskeyRefused
from kmzportal.services.refusals import (
    AddressTaken,
    ChangedMeanwhile,
    LinkUnusable,
    Refusal,
    TooManyMails,
    WrongCode,
)
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.shares import Holder
from kmzportal.services.transaction import Transaction, factor_keys, link_keys, run_outside_transaction, transaction
from kmzportal.web import auth, cookie, passkeys
from kmzportal.web.auth import anyone, background_poll, current_user, source
from kmzportal.web.forms import ActionForm, CodesKeptForm, CustomerForm, NewPasswordForm
from kmzportal.web.link import visit as visits
from kmzportal.web.link.visit import link_holder, link_not_found, link_transaction
from kmzportal.web.passkeys import PasskeyForm, WithPasskey
from kmzportal.web.responses import qr_code, redirect_in_place, redirect_to, render

bp = Blueprint("link", __name__)

EARLY = "Die E-Mail ist schon unterwegs. In einer Minute können Sie es noch einmal versuchen."
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class PasswordForm(NewPasswordForm):
    """A new password, and the ids of the passkeys that stay."""

    stay = SelectMultipleField("Diese Passkeys behalten", coerce=int, validate_choice=False)


class RegisterForm(CustomerForm, PasswordForm):
    first = tuple(Customer.DATA_FIELDS)


class FactorForm(WithPasskey):
    stands_for = "code"
    code = StringField("Code aus der App", [Length(max=40, message="Der Code hat 6 Ziffern.")])

    def validate_code(self, field: StringField) -> None:
        if not field.data and not self.passkey.data and _second_factor_required():
            raise ValidationError(
                "Geben Sie den Code aus der App ein. Ohne zweiten Faktor kommen Sie nicht in den Kundenservice."
            )


class AnyTextConverter(PathConverter):
    """A path with any text that a mail program appended, including line breaks."""

    regex = r"[^/](?s:.)*?"


bp.record_once(lambda state: state.app.url_map.converters.update(anything=AnyTextConverter))


@bp.get("/link/<anything:text>")
@anyone
def open_link(text: str) -> ResponseReturnValue:
    """Redirect to a URL without the token, and ignore text that mail programs appended to it (OWASP ASVS 14.2.1)."""
    token = TOKEN.match(text)
    link = links.find(db.session(), link_keys(), token[0]) if token else None
    if link is None:
        if token and not guesses.counted_enough(db.session(), datetime.now(UTC), source()):
            with transaction("visitor", source()) as tx:
                guesses.count(tx)
        response = link_not_found()
    else:
        ended = visits.begin(link)
        response = redirect_to(".show", visits.ENDED if ended else None, "info", link_id=link.id)
    response.headers["Referrer-Policy"] = "no-referrer"  # type: ignore[union-attr]
    return response


@bp.get("/konto-link/<int:link_id>")
@link_holder(*LinkKind)
def show(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    """Redirect to the first page of this kind of link, or show the one after the robot check."""
    if visit.checked:
        return render("link/checked.html", link=link)
    return redirect_in_place(link.policy.first_page, link_id=link.id)


@bp.route("/konto-link/<int:link_id>/passwort", methods=["GET", "POST"])
@link_holder(LinkKind.RECOVERY)
def password(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = PasswordForm()

    def redeem(tx: Transaction, password_hash: str) -> None:
        accounts.set_password_by_link(tx, link, visit.started_at, password_hash, form.stay.data or ())

    return _set_password(link, visit, form, redeem, "link/password.html")


@bp.route("/konto-link/<int:link_id>/konto", methods=["GET", "POST"])
@link_holder(LinkKind.DESK, LinkKind.LETTER, checked=True)
def register(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = RegisterForm(data=link.owner.data() | {"version": link.owner.version})
    form.offer_salutations(link.owner.salutation)

    def redeem(tx: Transaction, password_hash: str) -> None:
        data, stay = form.customer_data(), form.stay.data or ()
        accounts.register(tx, link, visit.started_at, form.seen_version, data, password_hash, stay)

    return _set_password(link, visit, form, redeem, "link/register.html")


@bp.route("/konto-link/<int:link_id>/zugang", methods=["GET", "POST"])
@link_holder(LinkKind.CLERK_FIRST)
def clerk_access(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    """The first of two steps: the new password waits in the visit, until the code is right."""

    def keep(tx: Transaction, password_hash: str) -> None:
        visit.password_hash = password_hash

    return _set_password(link, visit, NewPasswordForm(), keep, "link/clerk_access.html", then=".clerk_factor")


@bp.route("/konto-link/<int:link_id>/zugang/code", methods=["GET", "POST"])
@link_holder(LinkKind.CLERK_FIRST)
def clerk_factor(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    """The second step: set password and second factor. Until it succeeds, the old ones stay valid.

    The answer shows the recovery codes, which no GET does: they are shown once.
    """
    if visit.password_hash is None:
        return redirect_to(".clerk_access", link_id=link.id)
    form, name = FactorForm(), auth.device()
    if form.validate_on_submit():
        try:
            answer = passkey_service.read(form.passkey.data) if form.passkey.data else None
            with link_transaction(link) as tx:
                codes, ended = clerks.use_first_link(tx, link, visit, form.code.data or "", answer, name)
                known = devices.remember(tx, link.holder, name)  # as _set_password does for customers
            auth.set_device_cookie(known)
            visits.finish(link, visit)
            return render("link/clerk_done.html", CodesKeptForm(formdata=None), link=link, codes=codes, ended=ended)
        except (WrongCode, PasskeyRefused) as refusal:
            form.add_refusal(refusal)
    context = {"factor": _factor(visit), "uri": _uri(visit), "required": _second_factor_required()}
    context["options"] = passkeys.creation_options(link.holder, f"link:{link.id}")
    context["by_code"] = current_app.config["STAFF_SECOND_FACTOR"] != "passkey"
    return render("link/clerk_factor.html", form, link=link, **context)


def _set_password(
    link: AccountLink,
    visit: LinkVisit,
    form: Any,
    redeem: Callable[[Transaction, str], None],
    template: str,
    then: str | None = None,
    **context: Any,
) -> ResponseReturnValue:
    """Show a form with a new password, and call `redeem` with its hash when it is valid; `then`: the next page."""
    if form.valid_for(link.holder):
        holder = Holder(f"link:{link.id}", known=True)
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data, holder)
        try:
            with link_transaction(link) as tx:
                redeem(tx, password_hash)
                # Whoever sets the password logs in next, also where the source is over its limit of failures.
                known = devices.remember(tx, link.holder, auth.device()) if link.customer else None
            if known:
                auth.set_device_cookie(known)
            return redirect_to(then, link_id=link.id) if then else visits.finish(link, visit)
        except AddressTaken as refusal:
            form.add_refusal(refusal)
        except ChangedMeanwhile:
            form.add_conflict_error(link.owner)
    if form.errors:
        form.add_emptied_error()
    minimum = accounts.password_minimum(link.holder, current_app.config)
    return render(template, form, link=link, minimum=minimum, **context)


@bp.route("/konto-link/<int:link_id>/adresse", methods=["GET", "POST"])
@link_holder(LinkKind.ADDRESS)
def confirm_address(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = ActionForm()
    if form.validate_on_submit():
        try:
            with link_transaction(link) as tx:
                accounts.confirm_address(tx, link, visit.started_at, keep=_own_session(link))
            return visits.finish(link, visit)
        except AddressTaken as refusal:
            form.add_refusal(refusal)
    return render("link/confirm_address.html", form, link=link)


def _own_session(link: AccountLink) -> LoginSession | None:
    """Return the session of this browser if the holder of the link is logged in here."""
    active: LoginSession | None = current_user.login_session if current_user.is_authenticated else None
    return active if active and active.customer_id == link.customer_id else None


@bp.route("/konto-link/<int:link_id>/widerspruch", methods=["GET", "POST"])
@link_holder(LinkKind.OBJECTION)
def object_to_change(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    form = ActionForm()
    if form.validate_on_submit():
        with link_transaction(link) as tx:
            accounts.object_to_change(tx, link, visit.started_at)
        return visits.finish(link, visit)
    return render("link/object_to_change.html", form, link=link)


@bp.get("/konto-link/<int:link_id>/fertig")
@anyone
def done(link_id: int) -> ResponseReturnValue:
    visit = visits.find(link_id, prolong=True)
    if visit is None or visit.link.ended_as != LinkState.REDEEMED or visit.link.clerk:
        return link_not_found()
    return _done(visit)


def _done(visit: LinkVisit, form: PasskeyForm | None = None) -> ResponseReturnValue:
    link = visit.link
    logged_out = sessions.any_ended(db.session(), link.owner, at=link.ended_at)
    options = passkeys.creation_options(link.owner, f"link:{link.id}") if _offers_passkey(visit) else ""
    return render("link/done.html", form, link=link, logged_out=logged_out, options=options)


def _offers_passkey(visit: LinkVisit) -> bool:
    """Return whether this browser has just set the password: whoever opens the used link again has not."""
    lifetime = current_app.config["PROOF_LIFETIME"]
    return visit.redeemed and passkey_service.is_offered(visit.link, datetime.now(UTC), lifetime)


@bp.post("/konto-link/<int:link_id>/passkey")
@anyone
def add_passkey(link_id: int) -> ResponseReturnValue:
    """Add a passkey right after the new password, or note that none is wanted."""
    visit = visits.find(link_id, prolong=True)
    if visit is None or not _offers_passkey(visit):
        return link_not_found()
    link, form = visit.link, PasskeyForm() if request.form.get("passkey") else ActionForm()
    answer = passkeys.read(form) if isinstance(form, PasskeyForm) else None
    if form.validate_on_submit() and not form.errors:
        try:
            with transaction(f"link:{link.id}", source()) as tx:
                tx.lock(link.owner)
                if not _offers_passkey(visit):  # changed since the page was requested
                    raise LinkUnusable
                if answer:
                    passkey_service.add(tx, link.owner, answer, f"link:{link.id}", auth.device())
                else:
                    visit.redeemed = False
            return redirect_to(".done", passkeys.ADDED if answer else None, link_id=link_id)
        except Refusal as refusal:
            form.add_refusal(refusal)
    return _done(visit, form)


@bp.get("/konto-link/<int:link_id>/zugang/qr.svg")
@link_holder(LinkKind.CLERK_FIRST)
@background_poll
def show_qr_code(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    return qr_code(_uri(visit))


@bp.route("/konto-link/<int:link_id>/zugang/fertig", methods=["GET", "POST"])
@anyone
def clerk_done(link_id: int) -> ResponseReturnValue:
    """Go on to the login once the recovery codes are kept; they are not shown again."""
    visit, form = visits.find(link_id, prolong=True), CodesKeptForm()
    if visit is None or visit.link.clerk is None or visit.link.ended_as != LinkState.REDEEMED:
        return link_not_found()
    if form.validate_on_submit():
        return redirect_to("desk_login.login")
    return render("link/clerk_done.html", form, link=visit.link, codes=[], ended=0)


@bp.post("/konto-link/<int:link_id>/erneuern")
@anyone
def renew(link_id: int) -> ResponseReturnValue:
    visit, form = visits.find(link_id, prolong=True), ActionForm()
    if visit is None:
        return link_not_found()
    link = visit.link
    if not form.validate_on_submit():
        return visits.link_ended(link, form)
    try:
        if not link.renewable(datetime.now(UTC)):  # otherwise each try would be recorded
            raise LinkUnusable
        with transaction(f"link:{link.id}", source()) as tx:
            newer = links.renew(tx, link)
            kept_entries.move(tx, link, newer)
            early = newer.issued_at < tx.now
    except (LinkUnusable, TooManyMails):
        form.form_errors.append(
            "Heute können wir keinen weiteren Link senden. Haben Sie eine neuere E-Mail von uns? Deren Link kann noch "
            "gelten. Sonst rufen Sie uns bitte an."
        )
        return visits.link_ended(link, form)
    return redirect_to(".renewed", EARLY if early else None, link_id=link_id)


@bp.get("/konto-link/<int:link_id>/neuer-link")
@anyone
def renewed(link_id: int) -> ResponseReturnValue:
    """Show by which mail the new link comes. The page of the old one would say that it is replaced."""
    visit, now, config = visits.find(link_id, prolong=True), datetime.now(UTC), current_app.config
    if visit is None:
        return link_not_found()
    link, newer = visit.link, links.renewed(db.session(), visit.link, now)
    if newer is None:
        return redirect_to(".show", link_id=link_id)
    return render(
        "link/renewed.html",
        ActionForm(formdata=None),
        link=link,
        newer=newer,
        subject=subject_of(f"{link.kind}_link"),
        renewable=link.renewable(now),
        wait_seconds=int((newer.issued_at + links.RENEWAL_PAUSE - now).total_seconds()),
        outage=outbox.public_outage(db.session(), now, config),
    )


@bp.post("/konto-link/<int:link_id>/abbrechen")
@anyone
def cancel(link_id: int) -> ResponseReturnValue:
    """End the visit in this browser; the link itself stays valid."""
    form = ActionForm()
    if not form.validate_on_submit():
        return render("link/cancel.html", form, link={"id": link_id})
    visit = visits.find(link_id, prolong=False)
    noun = visit.link.policy.noun if visit else "Link"
    if visit:
        with transaction(f"link:{link_id}") as tx:
            visit.ended_at = tx.now
            cookie.forget(tx, cookie.SAVED_FORM)
    return redirect_to("login.login", f"Sie haben abgebrochen. Nichts wurde geändert. Ihr {noun} gilt weiter.")


def _second_factor_required() -> bool:
    return bool(current_app.config["STAFF_SECOND_FACTOR"] != "offered")


def _factor(visit: LinkVisit) -> SecondFactor:
    return SecondFactor(factor_keys(), str(visit.factor_nonce))


def _uri(visit: LinkVisit) -> str:
    return _factor(visit).uri(visit.link.email, current_app.config["OFFICE_NAME"])
