"""Forms and fields that more than one page uses. They check shape; services decide truth."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import current_app
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError, _FlaskFormCSRF
from markupsafe import Markup, escape
from wtforms import EmailField, Field, Form, PasswordField, SelectField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import EqualTo, InputRequired, Length
from wtforms.widgets.core import Input, clean_key  # type: ignore[attr-defined]

from kmzportal.domain import mail_address, passwords
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import WeakPassword
from kmzportal.services import password
from kmzportal.web import kept_form

STALE = (
    "Diese Seite war lange offen, oder Sie haben sich inzwischen an- oder abgemeldet. "
    "Senden Sie das Formular bitte noch einmal ab."
)


def attributes(**given: Any) -> Markup:
    """Write HTML attributes as WTForms does, to the letter, in a seventh of the time (see docs/decisions/0040)."""
    said = sorted((clean_key(name), value) for name, value in given.items() if value is not False)
    return Markup(  # noqa: S704  names stand in our templates, and every value is escaped
        " ".join(name if value is True else f'{name}="{escape(value)}"' for name, value in said)
    )


Input.html_params = staticmethod(attributes)  # type: ignore[method-assign]


class FormCSRF(_FlaskFormCSRF):  # type: ignore[misc]
    def validate_csrf_token(self, form: Form, field: Field) -> None:
        try:
            super().validate_csrf_token(form, field)
        except (ValidationError, CSRFError):
            raise ValidationError(STALE) from None


class PortalForm(FlaskForm):  # type: ignore[misc]
    """A form with German words, whose stale token is an error like any other: everything typed stays."""

    first: Sequence[str] = ()  #: the fields that stand on the page before those that were written down earlier

    def __iter__(self) -> Iterator[Field]:
        """Go through the fields as they stand on the page, since what is wrong is listed in this order."""
        rest = [field for field in super().__iter__() if field.short_name not in self.first]
        return iter([*(self[name] for name in self.first), *rest])

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        csrf_class = FormCSRF
        locales = ("de_DE", "de")

        def wrap_formdata(self, form: Form, formdata: Any) -> Any:
            """Fill in what its writer had typed when the session ended; what is sent now is newer."""
            kept = kept_form.entries()
            return super().wrap_formdata(form, formdata) or kept


class Filter(PortalForm):
    """A form that only asks: sent by GET, so it needs no token, and what nobody offers is ignored."""

    class Meta(PortalForm.Meta):
        csrf = False


def choice_field(label: str, name: str, options: Mapping[str, str]) -> SelectField:
    """One of the options or all; the keys stand in the address."""
    choices = [SelectChoice(key, words) for key, words in {"": "alle", **options}.items()]
    return SelectField(label, name=name, choices=choices, default="")


class Button(PortalForm):
    """A form without fields: one deed, one click."""


#: Control signs, breaks of lines, and what turns round the signs beside it: a Kundennummer would read backwards.
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def one_line(_form: Form, field: Field) -> None:
    if UNFIT.search(field.data or ""):
        raise ValidationError("Hier ist nur eine Zeile möglich. Löschen Sie bitte Umbrüche und unsichtbare Zeichen.")


def understandable(_form: Form, field: Field) -> None:
    """Keep the address as it is understood; an empty optional field is fine."""
    try:
        field.data = mail_address.understand(field.data) if field.data else field.data
    except mail_address.NotAnAddress:
        raise ValidationError(
            "Das ist keine vollständige E-Mail-Adresse. Geben Sie sie so ein: name@schule.de"
        ) from None


def mail_address_field(
    label: str = "E-Mail-Adresse", missing: str | None = "Geben Sie Ihre E-Mail-Adresse ein."
) -> EmailField:
    needed = [InputRequired(missing)] if missing else []
    longest = Length(max=mail_address.LONGEST, message=f"Möglich sind bis zu {mail_address.LONGEST} Zeichen.")
    return EmailField(label, [*needed, longest, understandable])


def password_field(label: str, missing: str | None) -> PasswordField:
    """A password is never trimmed, never shown again."""
    longest = f"Ein Passwort hat höchstens {passwords.LONGEST} Zeichen."
    needed = [InputRequired(missing)] if missing else []
    return PasswordField(label, [*needed, Length(max=passwords.LONGEST, message=longest)])


def repeat_field(required: bool = True) -> PasswordField:
    needed = [InputRequired("Geben Sie das neue Passwort noch einmal ein.")] if required else []
    same = EqualTo("new", "Die beiden Passwörter sind nicht gleich. Geben Sie beide noch einmal ein.")
    return PasswordField("Wdh. Passwort", [*needed, same])


def trimmed(text: Any) -> Any:
    return " ".join(text.split(" ")).strip() if isinstance(text, str) else text


class NewPassword:
    """A new password twice; `judged` asks the service what it thinks of it."""

    new = password_field("Passwort", "Geben Sie ein neues Passwort ein.")
    repeat = repeat_field()

    def say_emptied(self) -> None:
        """Passwords are never sent back; where another field is wrong, their writer must hear it."""
        if self.new.data and not self.new.errors and not self.repeat.errors:
            self.new.errors = ["Aus Sicherheitsgründen ist das Passwort jetzt leer. Geben Sie es noch einmal ein."]

    def suits(self, person: Customer | Clerk) -> bool:
        """Whether the service takes the new password; if not, the reason stands at the field."""
        try:
            password.judge(self.new.data or "", person, current_app.config)
        except WeakPassword as refusal:
            self.new.errors = [refusal.reason]
            return False
        return True
