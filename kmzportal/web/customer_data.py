"""A customer's data as a form, for the customer and for the desk, and what happens when both save at once."""

from wtforms import HiddenField, SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length

from kmzportal.domain.customer import Customer
from kmzportal.web.fields import one_line, trimmed

LONGEST_VERSION = 10  # digits


def data_field(name: str, required: bool = False) -> StringField:
    label, longest = Customer.DATA[name]
    needed = [DataRequired(f"Geben Sie den {label}n ein.")] if required else []
    too_long = Length(max=longest, message=f"{label}: möglich sind bis zu {longest} Zeichen.")
    return StringField(label, [*needed, too_long, one_line], filters=[trimmed])


class Versioned:
    """Which version of a customer stood on the page: who saves later than somebody else is told."""

    version = HiddenField()

    @property
    def seen(self) -> int:
        """The version that stood in the form; none that ever was, when it was left out."""
        text = "".join(map(str, self.version.raw_data or ()))
        return int(text) if text.isdecimal() and len(text) < LONGEST_VERSION else -1

    def say_changed(self, customer: Customer) -> None:
        """Keep what was typed, show what stands there now, and let the next try pass."""
        typed = self.customer_data() if isinstance(self, CustomerData) else customer.data()
        now = [f"{Customer.DATA[name][0]} „{text}“" for name, text in customer.data().items() if text != typed[name]]
        self.form_errors.append(  # type: ignore[attr-defined]
            "Jemand anderes hat diese Daten inzwischen geändert. Nichts wurde überschrieben. "
            + (f"Jetzt steht dort: {', '.join(now)}. " if now else "")
            + "Prüfen Sie Ihre Eingaben und senden Sie das Formular noch einmal ab."
        )
        self.version.data = str(customer.version)


class CustomerData(Versioned):
    """The customer's own data, named like the columns of the import."""

    salutation = SelectField(Customer.DATA["salutation"][0])
    first_name = data_field("first_name")
    last_name = data_field("last_name", required=True)
    school = data_field("school")
    street = data_field("street")
    postcode = data_field("postcode")
    town = data_field("town")
    phone = data_field("phone")

    def offer_salutations(self, present: str) -> None:
        """An imported form of address that is not in the list stays possible."""
        usual = ["", "Frau", "Herr"]
        own = [present] if present not in usual else []
        self.salutation.choices = [SelectChoice(word, word or "keine Angabe") for word in usual + own]

    def customer_data(self) -> dict[str, str]:
        return {name: self[name].data or "" for name in Customer.DATA}  # type: ignore[index]
