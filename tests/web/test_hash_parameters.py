"""Every refused login costs one comparison with the parameters of a stored password, whoever is named (ASVS 6.3.8)."""

import pytest
from argon2 import PasswordHasher, extract_parameters

from kmzportal.services import passwords
from kmzportal.services.passwords import hash_password
from tests import people
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
COSTS = PasswordHasher(time_cost=2, memory_cost=24, parallelism=1)  # of no other hash in these tests
WRONG = "falsches passwort"


@pytest.fixture
def compared(monkeypatch):
    """The parameters of each hash that a password is compared with, or that is made, from now on."""
    found = []
    verify, make = PasswordHasher.verify, PasswordHasher.hash

    def record_and_verify(hasher, stored, password):
        found.append(extract_parameters(stored))  # fails for what is no hash
        return verify(hasher, stored, password)

    def record_and_make(hasher, password):
        made = make(hasher, password)
        found.append(extract_parameters(made))
        return made

    monkeypatch.setattr(passwords, "_hasher", COSTS)
    monkeypatch.setattr(PasswordHasher, "verify", record_and_verify)
    monkeypatch.setattr(PasswordHasher, "hash", record_and_make)
    return found


def log_in(app, path, address):
    Browser(app).open(path).submit("Anmelden", {"E-Mail-Adresse": address, "Passwort": WRONG})


@pytest.mark.parametrize(
    ("path", "data", "other"),
    [("/anmelden", people.ERIKA, people.MAX), ("/kundenservice/anmelden", people.TIM, people.ROSA)],
    ids=["customer", "clerk"],
)
@pytest.mark.parametrize(
    ("who", "times"), [("wrong", 1), ("unknown", 1), ("locked", 1), ("never activated", 1), ("throttled", 7)]
)
def test_a_refused_login_compares_with_the_parameters_of_a_stored_password(
    app, backend, compared, path, data, other, who, times
):
    stored = hash_password("blaue tasse im regal")
    known, person = (backend.add(people.person(each)) for each in (data, other))
    backend.update(known, password_hash=stored)
    locked_at = people.NOW if who == "locked" else None
    backend.update(person, password_hash=None if who == "never activated" else stored, locked_at=locked_at)
    compared.clear()
    log_in(app, path, known.email)
    costs = compared.copy()
    assert len(costs) == 1
    compared.clear()
    for _ in range(times):
        log_in(app, path, "niemand@schule.example" if who == "unknown" else person.email)
    assert compared == costs * times


def test_the_parameters_are_those_of_the_second_profile_of_rfc_9106():
    costs = extract_parameters(PasswordHasher().hash("x"))
    assert (costs.type.name, costs.memory_cost, costs.time_cost, costs.parallelism) == ("ID", 65536, 3, 4)
