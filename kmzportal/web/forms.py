"""Forms and fields of several pages. They validate the format only, services the content."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from flask import current_app, flash, g, request, session
from flask_wtf import FlaskForm
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    Form,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.csrf.core import CSRF
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.form import BaseForm
from wtforms.validators import DataRequired, EqualTo, InputRequired, Length

from kmzportal import mail_address
from kmzportal.models import Clerk, Customer
from kmzportal.plain_text import UNFIT, clean, clean_lines
from kmzportal.services import accounts, passwords
from kmzportal.services.refusals import Refusal, WeakPassword
from kmzportal.services.transaction import transaction
from kmzportal.web import cookie

STALE_FORM = (
    "Diese Seite war lange offen, oder Sie haben sich inzwischen an- oder abgemeldet. "
    "Senden Sie das Formular bitte noch einmal ab."
)


NO_COOKIE = (
    "Ihr Browser hat das Cookie dieser Seite nicht mitgeschickt. Ihr Browser muss Cookies erlauben: "
    "Erlauben Sie sie für diese Seite und senden Sie das Formular noch einmal ab."
)


class FormCSRF(CSRF):
    """Flask-WTF's token as a field of the form, so that a stale token is a field error."""

    def generate_csrf_token(self, csrf_token_field: Field) -> str:
        return str(generate_csrf())

    def validate_csrf_token(self, form: BaseForm, field: Field) -> None:
        try:
            validate_csrf(field.data)
        except ValidationError:
            got_cookie = current_app.config["SESSION_COOKIE_NAME"] in request.cookies
            raise ValidationError(STALE_FORM if got_cookie else NO_COOKIE) from None


class PortalForm(FlaskForm):  # type: ignore[misc]
    """A form with German errors. A stale CSRF token is one of them, so that the input stays."""

    first: Sequence[str] = ()  #: names of fields that the page shows before the inherited ones

    def __iter__(self) -> Iterator[Field]:
        """Yield the fields in the order of the page; errors are listed in this order."""
        rest = [field for field in super().__iter__() if field.short_name not in self.first]
        return iter([*(self[name] for name in self.first), *rest])

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        csrf_class = FormCSRF
        locales = ("de_DE", "de")

        def wrap_formdata(self, form: Form, formdata: Any) -> Any:
            """Return the sent data, or else the input saved when the session ended.

            No JSON and no files, which Flask-WTF takes as well: their fields would be lists or objects, not text.
            """
            only_text = formdata is not None and (request.is_json or request.files)
            sent = request.form if only_text else super().wrap_formdata(form, formdata)
            return sent or g.get("saved_input")

        def bind_field(self, form: Form, unbound_field: Any, options: Any) -> Any:
            """Remove what programs leave in text, and refuse what is unfit; never in a password."""
            field = super().bind_field(form, unbound_field, options)
            if isinstance(field, StringField) and not isinstance(field, PasswordField):
                field.filters = [lambda text: clean(text) if isinstance(text, str) else text, *field.filters]
                if not isinstance(field, TextAreaField):
                    field.validators = [*field.validators, one_line]
            return field

    @property
    def reasons(self) -> list[tuple[str, str | None]]:
        """Return each error in the order of the page, and the id of its field where that can be seen."""
        found: list[tuple[str, str | None]] = [(str(text), None) for text in self.form_errors]
        for field in self:
            seen = not isinstance(field, HiddenField)
            target = f"{field.id}-0" if isinstance(field, RadioField) else field.id
            found.extend((str(text), target if seen else None) for text in field.errors)
        return found

    def add_refusal(self, refusal: Refusal) -> None:
        """Show a service's refusal at its field, or above the form when the form has no such field."""
        if refusal.field in self:
            self[refusal.field].errors = [refusal.message]
        else:
            self.form_errors.append(refusal.message)


class Filter(PortalForm):
    """A search form, sent by GET and therefore without CSRF token."""

    class Meta(PortalForm.Meta):
        csrf = False


def choice_field(label: str, name: str, options: Mapping[str, str]) -> SelectField:
    """Return a field with the options and "alle"; their keys are the values of the URL parameter `name`."""
    choices = [SelectChoice(key, words) for key, words in {"": "alle", **options}.items()]
    return SelectField(label, name=name, choices=choices, default="")


class ActionForm(PortalForm):
    """A button with a CSRF token."""


def one_line(_form: Form, field: Field) -> None:
    if not field.errors and isinstance(field.data, str) and UNFIT.search(field.data):
        raise ValidationError("Hier ist nur eine Zeile möglich. Löschen Sie bitte Umbrüche und unsichtbare Zeichen.")


def printable(text: str | None) -> str:
    return clean_lines(text or "").replace("\t", " ").strip()


def text_area(label: str, missing: str | None = None, maximum: int = 2000, rows: int = 6) -> TextAreaField:
    needed = [DataRequired(missing)] if missing else []
    longest = Length(max=maximum, message=f"Möglich sind bis zu {maximum} Zeichen.")
    return TextAreaField(label, [*needed, longest], filters=[printable], render_kw={"rows": rows})


def valid_address(_form: Form, field: Field) -> None:
    """Replace the input by the parsed address; an empty optional field is valid."""
    try:
        field.data = mail_address.parse(field.data) if field.data else field.data
    except mail_address.InvalidAddress as invalid:
        raise ValidationError(
            invalid.hint or "Das ist keine vollständige E-Mail-Adresse. Geben Sie sie so ein: name@schule.example"
        ) from None


def mail_address_field(
    label: str = "E-Mail-Adresse", missing: str | None = "Geben Sie Ihre E-Mail-Adresse ein."
) -> EmailField:
    needed = [DataRequired(missing)] if missing else []
    longest = Length(max=mail_address.MAX_LENGTH, message=f"Möglich sind bis zu {mail_address.MAX_LENGTH} Zeichen.")
    return EmailField(label, [*needed, longest, valid_address])


def password_field(label: str, missing: str | None) -> PasswordField:
    """Return a field that is neither trimmed nor sent back to the browser."""
    longest = f"Ein Passwort hat höchstens {passwords.MAX_LENGTH} Zeichen."
    needed = [InputRequired(missing)] if missing else []
    return PasswordField(label, [*needed, Length(max=passwords.MAX_LENGTH, message=longest)])


def repeat_field(required: bool = True) -> PasswordField:
    needed = [InputRequired("Geben Sie das neue Passwort noch einmal ein.")] if required else []
    same = EqualTo("new", "Die beiden Passwörter sind nicht gleich. Geben Sie beide noch einmal ein.")
    return PasswordField("Wdh. Passwort", [*needed, same])


def trim(text: Any) -> Any:
    return text.strip() if isinstance(text, str) else text


def text_field(label: str, maximum: int, missing: str | None = None) -> StringField:
    needed = [DataRequired(missing)] if missing else []
    longest = Length(max=maximum, message=f"Möglich sind bis zu {maximum} Zeichen.")
    return StringField(label, [*needed, longest], filters=[trim])


class NewPasswordForm(PortalForm):
    """A new password, typed twice."""

    new = password_field("Passwort", "Geben Sie ein neues Passwort ein.")
    repeat = repeat_field()

    def add_emptied_error(self) -> None:
        """If only other fields have errors, add one that asks for the password again, as it is never sent back."""
        if self.new.data and not self.new.errors and not self.repeat.errors:
            self.new.errors = ["Geben Sie bitte auch das Passwort noch einmal ein. Wir merken es uns nicht."]

    def valid_for(self, person: Customer | Clerk) -> bool:
        """Return whether the form was sent and is valid, with a new password strong enough for the person, if any.

        All errors are added at once, as every refusal empties the passwords.
        """
        valid = self.validate_on_submit()
        strong = not self.is_submitted() or not self.new.data or self.validate_new_password(person)
        return bool(valid and strong)

    def validate_new_password(self, person: Customer | Clerk) -> bool:
        """Return whether the new password is strong enough; if not, add the reason to the field."""
        try:
            accounts.validate_password(self.new.data or "", person, current_app.config)
        except WeakPassword as refusal:
            self.new.errors = self.new.errors or [refusal.message]
            return False
        return True


#: Secrets, fields that become outdated, and fields that the user does not type.
_NEVER_SAVED = {"csrf_token", "current", "new", "repeat", "password", "code", "passkey", "username"}
_NEVER_SAVED |= {"puzzle", "tiles", "human"}


def save_input(actor: str, path: str) -> None:
    """Save the fields of this request for this actor and page in this browser, if its form has the CSRF token."""
    fields = {name: texts for name, texts in request.form.lists() if name not in _NEVER_SAVED}
    with suppress(ValidationError):
        validate_csrf(request.form.get("csrf_token"))
        if fields:
            with transaction(actor) as tx:
                cookie.keep(tx, cookie.SAVED_FORM, {"path": path, "fields": fields}, actor=actor)


def restore_input(actor: str) -> None:
    """Show the saved input of this page in the forms, once, if the actor is the same."""
    saved = cookie.kept(cookie.SAVED_FORM, actor)
    if saved.get("path") != request.path:
        return
    session.pop(cookie.SAVED_FORM)
    if request.method == "GET":
        notice = "Ihre Eingaben stehen wieder im Formular. Prüfen Sie sie und senden Sie das Formular noch einmal ab."
        flash(notice, "info")
        g.saved_input = MultiDict(saved["fields"])


LONGEST_VERSION = 19  # digits, of ids of links too
FEWEST_DIGITS = 5  # of a telephone number with its area code


def data_field(name: str, missing: str | None = None) -> StringField:
    """Return a field of a customer's data, required if there is a message for a `missing` one."""
    label, longest = Customer.DATA_FIELDS[name]
    needed = [DataRequired(missing)] if missing else []
    too_long = Length(max=longest, message=f"{label}: möglich sind bis zu {longest} Zeichen.")
    return StringField(label, [*needed, too_long], filters=[trim])


class CodesKeptForm(PortalForm):
    """The way on from new recovery codes, which are shown once. Without the tick the browser sends nothing."""

    kept = BooleanField(
        "Ich habe die Ersatzcodes aufbewahrt",
        [DataRequired("Haben Sie die Ersatzcodes aufbewahrt? Dann setzen Sie bitte das Häkchen.")],
    )


def seen(field: HiddenField) -> int:
    """Return the number that the page had in this field; -1, which nothing has, if it is missing or not a number."""
    text = "".join(map(str, field.raw_data or ()))
    return int(text) if text.isdecimal() and len(text) < LONGEST_VERSION else -1


class VersionedForm(PortalForm):
    """The version of what the page showed, mostly the customer, to detect a save by another user since then."""

    version = HiddenField()

    @property
    def seen_version(self) -> int:
        return seen(self.version)

    def add_conflict_error(self, customer: Customer) -> None:
        """Add an error with the values stored now, and accept the next submit."""
        typed = self.customer_data() if isinstance(self, CustomerForm) else customer.data()
        now = [
            f"{Customer.DATA_FIELDS[name][0]} „{text}“" for name, text in customer.data().items() if text != typed[name]
        ]
        self.form_errors.append(
            "Jemand anderes hat diese Daten inzwischen geändert. Nichts wurde überschrieben. "
            + (f"Jetzt steht dort: {', '.join(now)}. " if now else "")
            + "Prüfen Sie Ihre Eingaben und senden Sie das Formular noch einmal ab."
        )
        self.version.data = str(customer.version)


class CustomerForm(VersionedForm):
    """The data of a customer, with the field names of the import."""

    salutation = SelectField(Customer.DATA_FIELDS["salutation"][0])
    first_name = data_field("first_name")
    last_name = data_field("last_name", "Geben Sie den Nachnamen ein.")
    school = data_field("school")
    street = data_field("street")
    postcode = data_field("postcode")
    town = data_field("town")
    phone = data_field("phone")

    def validate_phone(self, field: StringField) -> None:
        """Refuse a number with too few digits; one that an import stored may stay."""
        digits = sum(letter.isdigit() for letter in field.data or "")
        if field.data and field.data != field.object_data and digits < FEWEST_DIGITS:
            raise ValidationError("Geben Sie die ganze Telefonnummer ein, mit Vorwahl. Oder lassen Sie das Feld leer.")

    def offer_salutations(self, current: str) -> None:
        """Set the choices: the usual salutations, and the current one, which an import may have set."""
        salutations = dict.fromkeys(("", "Frau", "Herr", current))
        self.salutation.choices = [SelectChoice(text, text or "keine Angabe") for text in salutations]

    def customer_data(self) -> dict[str, str]:
        return {name: self[name].data or "" for name in Customer.DATA_FIELDS}


class LoginForm(PortalForm):
    email = mail_address_field()
    password = password_field("Passwort", "Geben Sie Ihr Passwort ein.")

    def add_wrong_credentials(self) -> None:
        """Add one error for all reasons, so as not to reveal which addresses have an account (OWASP ASVS 6.3.8)."""
        self.form_errors.append("Falsche Zugangsdaten")
