"""Makes the pictures of the robot check from the npm package @lobehub/fluent-emoji-3d, and their record.

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python tools/pictures.py package/assets

Prints the table of `docs/vendored-pictures.md`.
"""

import sys
from hashlib import sha256
from pathlib import Path

from PIL import Image

from kmzportal.robot_check.puzzle import CATALOGUE, FOLDER

SIZE = 128
CODES = {
    "dog": "1f415", "cat": "1f408", "horse": "1f40e", "cow": "1f404", "pig": "1f416", "elephant": "1f418",
    "turtle": "1f422", "owl": "1f989",
    "car": "1f697", "bus": "1f68c", "tractor": "1f69c", "fire-engine": "1f692", "locomotive": "1f682",
    "truck": "1f69a", "ambulance": "1f691",
    "apple": "1f34e", "banana": "1f34c", "grapes": "1f347", "strawberry": "1f353", "pear": "1f350",
    "cherries": "1f352", "pineapple": "1f34d",
    "guitar": "1f3b8", "trumpet": "1f3ba", "violin": "1f3bb", "drum": "1f941", "saxophone": "1f3b7",
    "accordion": "1fa97",
    "t-shirt": "1f455", "jeans": "1f456", "dress": "1f457", "socks": "1f9e6", "coat": "1f9e5",
    "shorts": "1fa73",
    "house": "1f3e0", "school": "1f3eb", "church": "26ea", "castle": "1f3f0", "factory": "1f3ed",
    "office-block": "1f3e2",
    "hammer": "1f528", "saw": "1fa9a", "screwdriver": "1fa9b", "wrench": "1f527", "axe": "1fa93",
    "pickaxe": "26cf-fe0f",
    "tulip": "1f337", "rose": "1f339", "sunflower": "1f33b", "hibiscus": "1f33a", "daisy": "1f33c",
    "football": "26bd", "basketball": "1f3c0", "volleyball": "1f3d0", "baseball": "26be",
    "american-football": "1f3c8",
}  # fmt: skip


def shrink(source: Path, target: Path) -> None:
    """Write a small copy of one picture, without metadata."""
    with Image.open(source) as picture:
        small = picture.convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    small.save(target, "WEBP", quality=82, method=6)


def make(assets: Path) -> None:
    """Make every picture of the catalogue and print its line of the record."""
    FOLDER.mkdir(exist_ok=True)
    print("| picture | file in the package | sha256 there | sha256 here |\n|---|---|---|---|")
    for name in (name for names in CATALOGUE.values() for name in names):
        source, target = assets / f"{CODES[name]}.webp", FOLDER / f"{name}.webp"
        shrink(source, target)
        print(f"| {name} | {source.name} | {checksum(source)} | {checksum(target)} |")


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
