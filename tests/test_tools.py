"""tools/chromium finds the browser for the tests."""

import subprocess
from pathlib import Path

CHROMIUM = Path(__file__).parent.parent / "tools" / "chromium"


def test_a_named_browser_that_does_not_start_is_not_replaced_by_another(tmp_path):
    environment = {"PATH": str(tmp_path), "KMZPORTAL_TEST_CHROMIUM": "nirgends"}
    result = subprocess.run([CHROMIUM], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("KMZPORTAL_TEST_CHROMIUM nennt „nirgends“. Das ist kein Chromium, das startet.")
    assert list(tmp_path.iterdir()) == []
