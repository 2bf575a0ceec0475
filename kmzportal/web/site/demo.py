"""The demo's first page, and its mailbox: all mails a production portal would send, and a form to write to the office.

Registered in the demo only.
"""

import tomllib
from base64 import b64encode
from email import policy
from email.message import EmailMessage
from email.utils import make_msgid
from hashlib import sha256
from importlib.resources import files

from flask import Blueprint, Response, current_app, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms import StringField
from wtforms.validators import Length

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.compose import STYLE, Email, compose
from kmzportal.mail.incoming import parse
from kmzportal.mail.previews import previews as all_previews
from kmzportal.models import MAIL_STATES, OutgoingMail
from kmzportal.services.support_mail import Effect, receive
from kmzportal.services.transaction import link_keys, transaction
from kmzportal.web.auth import anyone
from kmzportal.web.forms import PortalForm, mail_address_field, text_area, trim
from kmzportal.web.responses import CSP, redirect_to, render

bp = Blueprint("demo", __name__, url_prefix="/demo")
PEOPLE = tomllib.loads((files("kmzportal") / "server" / "sample_people.toml").read_text("utf-8"))
MAILS_SHOWN = 200
AUTHSERV_ID = "demo.invalid"  #: the server that checked the sender (RFC 8601, 2.5)
WITHOUT_EFFECT = "Ihre E-Mail ist angekommen, hat aber keine Folge: Ihr Absender ist ein Programm oder wir selbst."
NOTICES = {
    Effect.CASE: "Ihre E-Mail ist angekommen. Im Kundenservice liegt sie unter Anfragen.",
    Effect.REPLY: "Ihre Antwort ist angekommen. Im Kundenservice steht sie bei der Anfrage.",
}


class WriteForm(PortalForm):
    sender = mail_address_field("Von", "Geben Sie die E-Mail-Adresse ein, von der Sie schreiben.")
    subject = StringField("Betreff", [Length(max=200, message="Möglich sind bis zu 200 Zeichen.")], [trim])
    text = text_area("Text", missing="Schreiben Sie den Text.", rows=8)


@bp.get("")
@anyone
def start() -> ResponseReturnValue:
    """Show three people to play, and what each clicks."""
    people = {person["first_name"]: person for person in PEOPLE["customers"]}
    clerks = {clerk["name"].split()[0]: clerk for clerk in PEOPLE["clerks"]}
    return render_template("demo/start.html", people=people | clerks, passwords=PEOPLE["passwords"])


@bp.get("/postfach")
@anyone
def mailbox() -> ResponseReturnValue:
    newest = select(OutgoingMail).order_by(OutgoingMail.queued_at.desc(), OutgoingMail.id.desc()).limit(MAILS_SHOWN)
    mails = [(mail, _compose(mail)) for mail in db.session.scalars(newest)]
    return render_template("demo/mailbox.html", mails=mails, states=MAIL_STATES)


@bp.get("/postfach/<int(max=2147483647):id>")
@anyone
def mail(id: int) -> ResponseReturnValue:
    mail = db.get_or_404(OutgoingMail, id)
    return render_template("demo/mail.html", mail=mail, email=_compose(mail), states=MAIL_STATES)


@bp.get("/postfach/<int(max=2147483647):id>/html")
@anyone
def mail_html(id: int) -> ResponseReturnValue:
    """Return the mail as mail programs show it. The CSP names the hash of its style element (CSP Level 3, 2.3.1)."""
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    headers = {"Content-Security-Policy": CSP.replace("style-src 'self'", f"style-src 'sha256-{style}'")}
    return Response(_compose(db.get_or_404(OutgoingMail, id)).html, mimetype="text/html", headers=headers)


@bp.route("/postfach/schreiben", methods=["GET", "POST"])
@bp.route("/postfach/<int(max=2147483647):id>/antworten", methods=["GET", "POST"])
@anyone
def write(id: int | None = None) -> ResponseReturnValue:
    """Receive a mail to the office, or a reply to the mail `id`, as if it had been read from the support mailbox."""
    answered = db.get_or_404(OutgoingMail, id) if id else None
    filled_in = {"sender": answered.recipient, "subject": f"AW: {_compose(answered).subject}"} if answered else None
    form = WriteForm(data=filled_in)
    if form.validate_on_submit():
        received = parse(_write(form, answered), AUTHSERV_ID)
        with transaction("worker") as tx:
            effect = receive(tx, received)
        return redirect_to(".mailbox", NOTICES.get(effect, WITHOUT_EFFECT))
    return render("demo/write.html", form, answered=answered)


def _write(form: WriteForm, answered: OutgoingMail | None) -> bytes:
    """Return the mail as a mail server delivers it that has found its sender genuine."""
    message = EmailMessage(policy=policy.SMTP.clone(max_line_length=998))  # RFC 5322, 2.1.1; folding breaks addresses
    sender = mail_address.mailable(form.sender.data or "")
    message["Authentication-Results"] = f"{AUTHSERV_ID}; dmarc=pass header.from={sender.rpartition('@')[2]}"
    message["From"] = sender
    message["To"] = current_app.config["OFFICE_SUPPORT_EMAIL"]
    message["Subject"] = form.subject.data or ""
    message["Message-ID"] = make_msgid(domain=AUTHSERV_ID)
    if answered:
        message["In-Reply-To"] = answered.message_id
    message.set_content(form.text.data)
    return message.as_bytes()


@bp.get("/mails")
@anyone
def previews() -> ResponseReturnValue:
    return render_template("demo/previews.html", emails=all_previews(current_app.config))


def _compose(mail: OutgoingMail) -> Email:
    return compose(mail, link_keys(), current_app.config, mail.queued_at)
