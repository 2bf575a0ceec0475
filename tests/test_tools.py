"""What makes and checks the portal, where it speaks to a person."""

import subprocess
from pathlib import Path

CHROMIUM = Path(__file__).parent.parent / "tools" / "chromium"


def test_no_other_browser_is_taken_for_one_that_is_named_and_does_not_start(tmp_path):
    environment = {"PATH": str(tmp_path), "KMZPORTAL_TEST_CHROMIUM": "nirgends"}
    told = subprocess.run([CHROMIUM], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("KMZPORTAL_TEST_CHROMIUM nennt „nirgends“. Das ist kein Chromium, das startet.")
    assert list(tmp_path.iterdir()) == []
