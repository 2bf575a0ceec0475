"""The catalogue of pictures. No picture may fit two phrases; their source is in `docs/vendored-pictures.md`."""

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "pictures"

# A phrase completes "Wählen Sie alle Bilder mit …". The names are files in FOLDER and never leave the server.
CATALOGUE: Mapping[str, tuple[str, ...]] = {
    "einem Tier": ("dog", "cat", "horse", "cow", "pig", "elephant", "turtle", "owl"),
    "einem Fahrzeug": ("car", "bus", "tractor", "fire-engine", "locomotive", "truck", "ambulance"),
    "Obst": ("apple", "banana", "grapes", "strawberry", "pear", "cherries", "pineapple"),
    "einem Musikinstrument": ("guitar", "trumpet", "violin", "drum", "saxophone", "accordion"),
    "einem Kleidungsstück": ("t-shirt", "jeans", "dress", "socks", "coat", "shorts"),
    "einem Gebäude": ("house", "school", "church", "castle", "factory", "office-block"),
    "einem Werkzeug": ("hammer", "saw", "screwdriver", "wrench", "axe", "pickaxe"),
    "einer Blume": ("tulip", "rose", "sunflower", "hibiscus", "daisy"),
    "einem Ball": ("football", "basketball", "volleyball", "baseball", "american-football"),
}
