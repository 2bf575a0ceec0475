"""The files of deploy/, with the names and folders of this portal instead of those of the example."""

import grp
import pwd
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: In a wheel it is part of the package, in the source beside it.
FOLDER = next(path for path in (PACKAGE / "deploy", PACKAGE.parent / "deploy") if path.is_dir())


def filled(name: str, host: str, instance: Path) -> str:
    """Return the text of a file for the host of PUBLIC_URL, the instance folder and the environment that runs this."""
    text = (FOLDER / name).read_text("utf-8")
    if owner := instance.stat().st_uid:  # root never runs the portal
        text = text.replace("User=kmzportal", f"User={pwd.getpwuid(owner).pw_name}")
        text = text.replace("Group=kmzportal", f"Group={grp.getgrgid(instance.stat().st_gid).gr_name}")
    for example, own in {
        "konto.kmz.example": host,
        "/var/lib/kmzportal": str(instance),
        "/opt/kmzportal/bin/kmzportal": str(Path(sys.executable).with_name("kmzportal")),
        "/usr/share/kmzportal": str(FOLDER),
    }.items():
        text = text.replace(example, own)
    return text
