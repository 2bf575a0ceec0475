"""How the desk made sure who asks, before it changes an address (NIST SP 800-63B-4, 4.2.1: a documented method)."""

IDENTITY_CHECKS = {
    "callback": "Rückruf",
    "in_person": "persönlich",
    "school": "Schule bestätigt",
    "number": "Kundennummer genannt",
    "other": "Sonstiges",
}
