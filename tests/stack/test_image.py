"""The image, really built and run: nobody's user, a root that cannot be written, a volume, TLS, its own health check.

On a base of Debian's packages that stands in for the real one: tests/fakes/base_image.sh says how it differs.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from demo.processes import wait_for
from tests.fakes.certificates import self_signed
from tests.fakes.containers import ROOT, TOOLS, Container, Image, built, container
from tests.fakes.locks import linux, locked

pytestmark = [pytest.mark.image, pytest.mark.needs(*TOOLS, "openssl")]

PLACE = "/etc/unitcost"
OWNER = (10001, 10001)
PATIENCE = 180.0


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if os.geteuid():
        pytest.skip("buildah and runc need root")
    with built(VERSION="1.2.3") as image:
        print(f"\nunpacked {image.size / 1e6:.0f} MB, of which the base is {image.base_size / 1e6:.0f} MB")
        yield image


@pytest.fixture
def volume(tmp_path: Path, image: Image) -> Path:
    """Return a folder as Docker makes a named volume: it belongs to whom the folder in the image belongs to."""
    path = tmp_path / "volume"
    path.mkdir()
    inside = (image.root / "var/lib/unitcost").stat()
    os.chown(path, inside.st_uid, inside.st_gid)
    return path


def own_check(image: Image) -> list[str]:
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    return list(map(str, command))


def healthy(image: Image, running: Container) -> CompletedProcess[str]:
    """Ask the image's own check until it is content."""
    said = []

    def good() -> bool:
        assert running.process.poll() is None, running.log.read_text()
        said.append(running.exec(*own_check(image)))
        return said[-1].returncode == 0

    wait_for(good, "it is healthy", PATIENCE, every=0.5)
    return said[-1]


ASK = """
import sys, ssl, urllib.request
url, *pair = sys.argv[1:]
context = ssl._create_unverified_context()
if pair:
    context.load_cert_chain(*pair)
print(urllib.request.urlopen(url, timeout=60, context=context).read().decode())
"""


def metrics(running: Container, url: str, *pair: str) -> str:
    """Return /metrics once it is there. pair: a client's certificate and key."""
    said = []

    def answered() -> bool:
        said.append(running.exec("python", "-c", ASK, f"{url}/metrics", *pair))
        return said[-1].returncode == 0

    wait_for(answered, "it serves metrics", PATIENCE, every=1)
    return said[-1].stdout


def ended(running: Container) -> int:
    """End it as an engine does; return its exit code."""
    running.process.terminate()
    return running.process.wait(30)


def test_the_sample_runs_as_nobody_with_a_read_only_root_and_is_healthy(
    image: Image, tmp_path: Path, volume: Path
) -> None:
    with container(image, tmp_path / "sample", "serve", "--sample", volume=volume) as running:
        assert healthy(image, running).stdout == "http://127.0.0.1:9488/-/healthy: 200 healthy\n"
        served = metrics(running, "http://127.0.0.1:9488")
        assert re.search(r'^tenant_cost_dollars\{tenant="', served, re.MULTILINE)
        status = running.exec("cat", "/proc/1/status").stdout
        assert re.search(r"^Uid:\s+10001\s+10001\s+10001\s+10001$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        for user in (None, "0:0"):
            for place in ("/", "/opt/unitcost", "/etc"):
                refused = running.exec("touch", f"{place}/file", user=user)
                assert (refused.returncode, "Read-only file system" in refused.stderr) == (1, True), refused
        assert running.exec("touch", "/tmp/file", "/var/lib/unitcost/file").returncode == 0
        assert ended(running) == 0, running.log.read_text()
    said = running.log.read_text()
    assert "WARNING" not in said
    assert "ERROR" not in said


def test_without_a_configuration_it_says_what_to_mount(image: Image, tmp_path: Path, volume: Path) -> None:
    with container(image, tmp_path / "bare", volume=volume) as running:
        assert running.process.wait(60) == 2
        [line] = running.log.read_text().splitlines()
    assert line.startswith(
        f"{PLACE}/unitcost.yaml: there is no such file; put a configuration there (in a container: mount"
    )
    assert list(volume.iterdir()) == []


TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
MUTUAL = f"{TLS}, client_ca_file: server.crt, client_auth_type: RequireAndVerifyClientCert}}"


@pytest.fixture
def company(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a folder to mount in /etc/unitcost: a company with its ledger in the volume."""

    def write(listen: str, web: str | None) -> Path:
        folder = tmp_path / "company"
        folder.mkdir()
        config = {
            "state_dir": "/var/lib/unitcost",
            "history": "3d",
            "web": {"listen": listen} | ({} if web is None else {"config_file": "web.yml"}),
            "sources": {"revenue": {"type": "csv_revenue", "path": "mrr.csv"}},
        }
        (folder / "unitcost.yaml").write_text(yaml.safe_dump(config))
        (folder / "mrr.csv").write_text("tenant,mrr\nacme,50\n")
        if web is not None:
            (folder / "web.yml").write_text(web)
            self_signed(folder)
            os.chown(folder / "server.key", *OWNER)
        return folder

    return write


@pytest.mark.parametrize("web", [TLS + "}", MUTUAL], ids=["TLS", "client certificates"])
def test_a_company_of_ones_own_is_served_with_tls_and_its_check_follows(
    web: str, image: Image, tmp_path: Path, volume: Path, company: Callable[..., Path]
) -> None:
    mounts = {PLACE: company("127.0.0.1:9999", web)}
    pair = (f"{PLACE}/server.crt", f"{PLACE}/server.key") if web == MUTUAL else ()
    with container(image, tmp_path / "tls", mounts=mounts, volume=volume) as running:
        assert healthy(image, running).stdout == "https://127.0.0.1:9999/-/healthy: 200 healthy\n"
        assert 'tenant_mrr_dollars{tenant="acme"} 50' in metrics(running, "https://127.0.0.1:9999", *pair)
        plain = running.exec("python", "-c", ASK, "http://127.0.0.1:9999/metrics")
        stranger = running.exec("python", "-c", ASK, "https://127.0.0.1:9999/metrics")
        assert plain.returncode == 1
        assert stranger.returncode == (1 if pair else 0)
        assert ended(running) == 0, running.log.read_text()
    ledger = next(volume.glob("*.duckdb"))
    assert (ledger.stat().st_uid, ledger.stat().st_gid) == OWNER
    said = running.log.read_text()
    assert "WARNING" not in said
    assert "ERROR" not in said


def test_its_check_fails_where_nothing_is_served(
    image: Image, tmp_path: Path, volume: Path, company: Callable[..., Path]
) -> None:
    """A server that listens elsewhere than the file says is not the one that is asked for."""
    args = ("serve", "--config", f"{PLACE}/unitcost.yaml", "--listen", "127.0.0.1:9998")
    mounts = {PLACE: company("127.0.0.1:9999", None)}
    with container(image, tmp_path / "elsewhere", *args, mounts=mounts, volume=volume) as running:
        metrics(running, "http://127.0.0.1:9998")
        done = running.exec(*own_check(image))
        assert (done.returncode, done.stdout) == (
            1,
            "http://127.0.0.1:9999/-/healthy: [Errno 111] Connection refused\n",
        )


def test_it_says_what_it_is(image: Image) -> None:
    labels = {
        name.rpartition(".")[2]: text for name, text in image.config["Labels"].items() if "opencontainers" in name
    }
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert labels.pop("description") in project
    assert labels == {"title": "unitcost", "licenses": "Apache-2.0", "version": "1.2.3", "name": "python:3.13-slim"}
    assert image.config["User"] == "{}:{}".format(*OWNER)


def inside(image: Image, folder: Path, code: str, python: str) -> CompletedProcess[str]:
    """Run Python code by one of the image's Pythons."""
    by_itself = Image(image.root, {**image.config, "Entrypoint": [python, "-c", code]}, 0, 0)
    with container(by_itself, folder, "-") as running:
        code_ = running.process.wait(60)
    return CompletedProcess(python, code_, running.log.read_text())


LISTED = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


def shipped() -> dict[str, str]:
    place = linux("3.13", os.uname().machine)
    lock = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    return {line.name: line.version for line in locked(lock) if line.counts(place)}


def test_it_holds_the_locked_versions_and_nothing_else(image: Image, tmp_path: Path) -> None:
    listed = json.loads(inside(image, tmp_path / "listed", LISTED, "python").stdout)
    found = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in listed.items()}
    assert found.pop("unitcost")
    assert found == shipped()
    print("\n" + " ".join(sorted(found)))


@pytest.mark.parametrize("python", ["/opt/unitcost/bin/python", "/usr/local/bin/python"])
def test_no_python_in_it_has_what_installs_builds_or_draws(python: str, image: Image, tmp_path: Path) -> None:
    code = "import importlib.util as u; print(*(n for n in {!r} if u.find_spec(n)))"
    names = ("json", "pip", "ensurepip", "setuptools", "wheel", "hatchling", "grafanalib", "pytest")
    assert inside(image, tmp_path / "python", code.format(names), python).stdout.split() == ["json"]


def test_there_is_no_compiler_in_it(image: Image) -> None:
    programs = {
        path.name for folder in ("bin", "sbin", "local/bin") for path in (image.root / "usr" / folder).iterdir()
    }
    programs |= {path.name for path in (image.root / "opt/unitcost/bin").iterdir()}
    assert {"cat", "python", "unitcost"} <= programs
    assert not {name for name in programs if re.fullmatch(r"(.*-)?(gcc|g\+\+|cc|ld|make|pip|git|curl)[\d.-]*", name)}


def test_no_program_in_it_changes_its_user(image: Image) -> None:
    modes = [path.lstat().st_mode for path in (image.root / "usr" / "bin").iterdir()]
    assert any(mode & stat.S_IXUSR for mode in modes)
    assert not any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes if stat.S_ISREG(mode))


UNCHECKED = (1).to_bytes(4, "little")
"""What a compiled file says of itself (PEP 552) that counts without a look at its source."""


def test_every_package_in_it_is_compiled_for_good(image: Image) -> None:
    packages = next((image.root / "opt/unitcost/lib").glob("python*")) / "site-packages"
    sources = list(packages.rglob("*.py"))
    assert len(sources) > 1000
    compiled = {path: path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in sources}
    assert [path for path, file in compiled.items() if not file.exists()] == []
    assert {file.read_bytes()[4:8] for file in compiled.values()} == {UNCHECKED}


def test_the_page_about_it_tells_its_size(image: Image) -> None:
    page = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
    [told] = re.findall(r"unpacked (\d+) MB, of which the base is (\d+) MB", page)
    assert [image.size / 1e6, image.base_size / 1e6] == pytest.approx(list(map(float, told)), rel=0.1)
