"""Mail address and password, as both doors take them: customers at one, clerks at the other."""

from kmzportal.db import db
from kmzportal.domain import passwords
from kmzportal.domain.customer import Customer
from kmzportal.services import login
from kmzportal.unit_of_work import outside_transaction, unit_of_work
from kmzportal.web.fields import PortalForm, mail_address_field, password_field
from kmzportal.web.origin import device, source

REFUSED = "Falsche Zugangsdaten"


class LoginForm(PortalForm):
    email = mail_address_field()
    password = password_field("Passwort", "Geben Sie Ihr Passwort ein.")

    def enter(self, table: login.Table = Customer) -> str | None:
        """Return a new session's token or refuse; the hashing stands between two short transactions."""
        address, password = self.email.data or "", self.password.data or ""
        known = login.password_hash_of(db.session(), address, table)
        proof = outside_transaction(passwords.prove, password, known)
        with unit_of_work("visitor", source()) as work:
            token = login.log_in(work, address, proof, device(), table)
        if token is None:
            self.form_errors.append(REFUSED)
        return token
