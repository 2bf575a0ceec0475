"""The files of deploy/, checked by the programs that read them; server/test_proxies.py runs the proxies."""

import fnmatch
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from kmzportal.cli import cli
from kmzportal.server.deploy import filled

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = ("kmzportal.service", "kmzportal-backup.service")


def run(*command: object) -> str:
    result = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.trial  # tools/servers installs systemd-analyze
def test_systemd_understands_each_line_of_the_units(tmp_path):
    for name in (*UNITS, "kmzportal-backup.timer"):
        (tmp_path / name).write_text(filled(name, "konto.schule.example", tmp_path))
    assert run("systemd-analyze", "verify", *sorted(tmp_path.iterdir())) == ""
    assert f"KMZPORTAL_INSTANCE_PATH={tmp_path}\n" in (tmp_path / UNITS[0]).read_text()


@pytest.mark.trial  # tools/servers installs systemd-analyze
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_as_closed_as_the_readme_says(name):
    report = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", DEPLOY / name)
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", report)[1]) < 2
    assert f"`{name}`" in (DEPLOY / "README.md").read_text("utf-8")


def test_the_image_is_made_of_files_that_exist_and_of_no_others():
    run(Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile")
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    sources = [
        source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for source in line.split()
    ]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(sources) == sent
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_image_and_unit_start_the_portal_with_options_that_it_knows():
    lines = [
        *re.findall(r"^CMD \[(.+)\]$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE),
        *re.findall(r"^ExecStart=\S+/kmzportal (serve.*)$", (DEPLOY / UNITS[0]).read_text("utf-8"), re.MULTILINE),
    ]
    assert len(lines) == 2
    for line in lines:
        name, *options = re.findall(r"[\w.-]+", line)
        cli.commands[name].make_context(name, options)


def test_visitors_by_ipv6_keep_their_address_behind_docker():
    """Without IPv6 in its network Docker's own proxy connects for them, and the limits of one source meet them all."""
    networks = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["networks"]
    assert networks["default"]["enable_ipv6"] is True


def test_compose_gives_the_portal_time_to_stop_and_mounts_what_exists():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    build = services["portal"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    unit = (DEPLOY / UNITS[0]).read_text("utf-8")
    assert services["portal"]["stop_grace_period"] == re.search(r"TimeoutStopSec=(\d+)", unit)[1] + "s" == "90s"
    mounted = [volume.split(":")[0] for volume in services["proxy"]["volumes"] if volume.startswith(".")]
    assert len(mounted) == 2
    assert [name for name in mounted if not (DEPLOY / name).exists()] == []


def test_the_page_shown_while_the_portal_is_down_needs_nothing_else():
    page = (DEPLOY / "502.html").read_text("utf-8")
    assert '<html lang="de">' in page
    assert re.findall(r"<script|\b(?:src|href|style|on\w+)=|url\(|https?://", page) == []


def test_the_wheel_holds_the_files(tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    missing = [path.name for path in DEPLOY.iterdir() if f"kmzportal/deploy/{path.name}" not in names]
    assert missing == []
    assert "kmzportal/docs/betrieb/README.md" in names and fnmatch.filter(names, "*.dist-info/licenses/LICENSE")
    assert not fnmatch.filter(names, "instance/*")
