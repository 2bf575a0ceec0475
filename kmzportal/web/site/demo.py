"""The mailbox of the demo: all mails that a production portal would send. Registered in the demo only."""

from flask import Blueprint, Response, current_app, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.mail.compose import Email, compose
from kmzportal.mail.previews import previews as all_previews
from kmzportal.models import MAIL_STATES, OutgoingMail
from kmzportal.services.transaction import link_keys
from kmzportal.web.auth import anyone

bp = Blueprint("demo", __name__, url_prefix="/demo")
MAILS_SHOWN = 200


@bp.get("/postfach")
@anyone
def mailbox() -> ResponseReturnValue:
    newest = select(OutgoingMail).order_by(OutgoingMail.queued_at.desc(), OutgoingMail.id.desc()).limit(MAILS_SHOWN)
    mails = [(mail, _compose(mail)) for mail in db.session.scalars(newest)]
    return render_template("demo/mailbox.html", mails=mails, states=MAIL_STATES)


@bp.get("/postfach/<int:id>")
@anyone
def mail(id: int) -> ResponseReturnValue:
    mail = db.get_or_404(OutgoingMail, id)
    return render_template("demo/mail.html", mail=mail, email=_compose(mail), states=MAIL_STATES)


@bp.get("/postfach/<int:id>/html")
@anyone
def mail_html(id: int) -> ResponseReturnValue:
    return Response(_compose(db.get_or_404(OutgoingMail, id)).html, mimetype="text/html")


@bp.get("/mails")
@anyone
def previews() -> ResponseReturnValue:
    return render_template("demo/previews.html", emails=all_previews(current_app.config))


def _compose(mail: OutgoingMail) -> Email:
    return compose(mail, link_keys(), current_app.config, mail.queued_at)
