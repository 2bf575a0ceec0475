"""Telephone numbers: the URI that a telephone dials."""

import pytest

from kmzportal import phone


@pytest.mark.parametrize(("number", "uri"), [
    ("07051 965 220", "tel:+497051965220"),
    ("07051/965-220", "tel:+497051965220"),
    ("(07051) 965–220", "tel:+497051965220"),
    ("+49 (0) 7051 / 965-220", "tel:+497051965220"),
    ("+49 7051 965220", "tel:+497051965220"),
    ("0049 (0)7051 965220", "tel:+497051965220"),
    ("+49 07051 965220", "tel:+497051965220"),
    ("+43 1 2345", "tel:+4312345"),
    ("0043 (0)1 2345", "tel:+4312345"),
    ("115", "tel:115;phone-context=+49"),
    ("965 220, ab 14 Uhr", "tel:965220;phone-context=+49"),
    ("０７０５１ ９６５", "tel:+497051965"),
])  # fmt: skip
def test_a_number_is_dialled_the_same_however_it_is_written(number, uri):
    assert phone.uri(number) == uri
