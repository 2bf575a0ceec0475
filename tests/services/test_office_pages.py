"""The pages of the office: shipped complete, changed by the operator, and honest about what is missing."""

from datetime import date

import pytest

from kmzportal.services import office_pages
from kmzportal.settings import SETTINGS

TODAY = date(2026, 11, 24)
#: What only the office itself knows; people and places are invented.
FILLED = {
    "OFFICE_BODY": "Landkreis Musterkreis, Hauptstraße 1, 12345 Musterstadt",
    "OFFICE_REPRESENTATIVE": "Landrätin Erika Mustermann",
    "OFFICE_AUTHORITY": "Regierungspräsidium Musterland",
    "PRIVACY_OFFICER": "Max Mustermann, datenschutz@musterkreis.example",
    "PRIVACY_PROCESSORS": "Rechenzentrum Musterland, innerhalb der Europäischen Union",
    "ACCESSIBILITY_STATEMENT_DATE": "2026-11-01",
    "ACCESSIBILITY_STATUS": "teilweise vereinbar",
    "ACCESSIBILITY_METHOD": "Selbstbewertung im Oktober 2026",
    "ACCESSIBILITY_EXCEPTIONS": "keine bekannt",
}


class Office:
    """The pages of an office with these settings and its own files in instance/pages."""

    def __init__(self, instance):
        self.instance, self.settings = instance, {setting.name: setting.default for setting in SETTINGS}
        self.settings |= {"SESSION_COOKIE_NAME": "kmzportal", "PUBLIC_URL": "https://konto.kmz.example"}

    def knows(self, **settings):
        self.settings |= settings
        return self

    def writes(self, file, text=""):
        folder = office_pages.own_folder(self.instance)
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(text, "utf-8")
        return self

    def shows(self, name):
        return office_pages.read(self.instance, self.settings)[name]

    def lacks(self):
        return office_pages.lacking(self.instance, self.settings, TODAY)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


@pytest.mark.parametrize("name", office_pages.NAMES)
def test_each_page_is_shipped_with_the_facts_of_the_office(office, name):
    text = office.shows(name)
    assert "07051 965 220" in text
    assert not office_pages.PLACEHOLDER.search(text)


def test_what_the_operator_has_not_filled_in_is_named_on_the_page_and_in_a_warning(office):
    assert "Vertreten durch: wird noch ergänzt" in office.shows("impressum")
    warning = "OFFICE_REPRESENTATIVE ist leer. Auf /impressum und /datenschutz steht dort „wird noch ergänzt“."
    assert warning in office.lacks()
    assert {text.split()[0] for text in office.lacks()} == set(FILLED)
    assert office_pages.is_draft(office.settings), "the accessibility statement has no date"
    office.knows(**FILLED)
    assert (office.lacks(), office_pages.is_draft(office.settings)) == ([], False)
    assert not [name for name in office_pages.NAMES if office_pages.LATER in office.shows(name)]
    assert "Vertreten durch: Landrätin Erika Mustermann" in office.shows("impressum")
    assert "Stand der Erklärung: 01.11.2026" in office.shows("barrierefreiheit")


def test_numbers_on_the_pages_are_those_of_the_settings(office):
    office.knows(RECOVERY_LINK_LIFETIME=1800, DESK_LINK_LIFETIME=86400, PASSWORD_MINIMUM=15, AUDIT_RETENTION=90)
    assert "Er gilt 30 Minuten" in office.shows("hilfe")
    assert "Er gilt 1 Tag" in office.shows("hilfe")
    assert "mindestens 15 Zeichen" in office.shows("hilfe")
    assert "90 Tage, die Internet-Adresse 7 Tage" in office.shows("datenschutz")


def test_the_operators_own_text_takes_the_place_of_ours_and_gets_no_secret(office):
    office.knows(SECRET_KEY="geheim")
    office.writes("impressum.md", "# Impressum\n\nVerantwortlich: {office_name}. {{ config }} {% raw %} {secret_key}")
    text = office.shows("impressum")
    assert text.endswith("\n\nVerantwortlich: Kreismedienzentrum Calw. {{ config }} {% raw %} {secret_key}")
    assert not any("OFFICE_AUTHORITY" in text for text in office.lacks())


@pytest.mark.parametrize(("file", "text", "warning"), [
    (
        "hilfe.md", "# Hilfe\n\nTelefon {offce_phone}",
        "hilfe.md nennt {offce_phone}, das gibt es nicht. Meinten Sie {office_phone}?",
    ),
    (
        "impressum.md", "# Impressum\n\nLandrat: wird noch ergänzt",
        "In impressum.md steht noch „wird noch ergänzt“. Schreiben Sie dort, was fehlt.",
    ),
    ("impresum.md", "", "instance/pages/impresum.md wird nicht gelesen. Meinten Sie impressum.md?"),
    ("dgs.mp4", "", "instance/pages/dgs.mp4 wird nicht gelesen."),
])  # fmt: skip
def test_a_fault_in_the_operators_own_files_is_warned_about(office, file, text, warning):
    assert office.knows(**FILLED).writes(file, text).lacks() == [warning]


@pytest.mark.parametrize(("settings", "warning"), [
    ({"SIGN_LANGUAGE_VIDEO": "dgs.mp4"},
     "SIGN_LANGUAGE_VIDEO nennt dgs.mp4. Legen Sie diese Datei in instance/pages, oder nennen Sie eine URL."),
    ({"ACCESSIBILITY_STATEMENT_DATE": "24.11.2026"},
     "ACCESSIBILITY_STATEMENT_DATE: „24.11.2026“ ist kein Tag. Schreiben Sie ihn so: 2026-11-24"),
    ({"ACCESSIBILITY_STATEMENT_DATE": "2025-11-23"},
     "ACCESSIBILITY_STATEMENT_DATE ist über ein Jahr alt. Prüfen Sie die Barrierefreiheit wieder und tragen Sie den "
     "Tag ein."),
])  # fmt: skip
def test_a_missing_video_and_a_statement_with_a_wrong_or_an_old_date_are_warned_about(office, settings, warning):
    assert office.knows(**FILLED | settings).lacks()[-1] == warning


@pytest.mark.parametrize("video", ["dgs.mp4", "https://video.example/dgs"])
def test_a_video_of_the_office_or_elsewhere_is_no_fault(office, video):
    office.knows(**FILLED, SIGN_LANGUAGE_VIDEO=video)
    if "://" not in video:
        office.writes(video)
    assert office.lacks() == []
