"""Images and containers without an engine: buildah builds the Dockerfile, and runc runs it as an engine has it run.

Nothing is mounted outside of a container's own namespace, which ends with it, and all that is written lies below one
folder, which is removed: an image is a folder of files here, no part of the machine's own images.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo.processes import stop

ROOT = Path(__file__).resolve().parents[2]
MADE = (ROOT / ".make").resolve()  # runc follows no symbolic link
TOOLS = ("buildah", "runc", "mmdebstrap")
"""Programs, all of them of Debian's, and root's to run."""
SCRIPT = ROOT / "tests" / "fakes" / "base_image.sh"
BASE = "docker.io/library/python:3.13-slim"
"""The name that the stand-in gets, which is the one that the Dockerfile asks for."""
BASE_ENV = ("PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
OF_THE_MACHINE = [Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt")]
"""How this machine reaches PyPI, lent to the build and no part of the image."""


@dataclass(frozen=True)
class Image:
    """A built image. root: its files; config: what it says of itself, in Docker's words; sizes in bytes, unpacked."""

    root: Path
    config: Mapping[str, Any]
    size: int
    base_size: int


@dataclass(frozen=True)
class Buildah:
    """Buildah with a store of its own, below a folder."""

    folder: Path

    def __call__(self, *args: str) -> str:
        """Run a command; return what it prints. Raises AssertionError with its complaint."""
        places = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        command = ["buildah", *places, "--storage-driver", "vfs", *args]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {args[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def config(self, image: str) -> Any:
        """Return what an image says of itself."""
        return json.loads(self("inspect", "--type", "image", image))["Docker"]["config"]

    def root_of(self, image: str) -> Path:
        """Return a folder with an image's files."""
        return Path(self("mount", self("from", "--pull=never", image)))


def _bytes(folder: Path) -> int:
    return int(subprocess.run(["du", "-sb", folder], capture_output=True, check=True).stdout.split()[0])


def _base(suite: str = "trixie") -> Path:
    """Return the stand-in's files as a tar, made once for each wording of the script. Raises CalledProcessError."""
    made_by = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:12]
    path = MADE / "base-image" / f"{suite}-{made_by}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"draft-{os.getpid()}.tar")
        try:
            subprocess.run([SCRIPT, draft, suite], check=True, capture_output=True)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
    return path


@contextmanager
def built(**build_args: str) -> Iterator[Image]:
    """Build the Dockerfile on the stand-in; the image is there until the block ends.

    Raises CalledProcessError where the stand-in cannot be made, AssertionError where the build fails.
    """
    base = _base()
    with TemporaryDirectory(prefix="image-", dir=MADE) as folder:
        buildah = Buildah(Path(folder))
        empty = buildah("from", "scratch")
        buildah("add", "--quiet", empty, str(base), "/")
        buildah("config", *(f"--env={one}" for one in BASE_ENV), "--cmd=python3", empty)
        buildah("commit", "--quiet", "--rm", empty, BASE)
        lent = [f"--volume={path}:{path}:ro" for path in OF_THE_MACHINE if path.exists()]
        given = [f"--build-arg={name}={value}" for name, value in build_args.items()]
        buildah("build", "--isolation=chroot", "--format=docker", "--pull=never", *lent, *given, "--tag=unitcost", ".")
        root = buildah.root_of("unitcost")
        yield Image(root, buildah.config("unitcost"), _bytes(root), _bytes(buildah.root_of(BASE)))


@dataclass(frozen=True)
class Container:
    """A running container."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    state: Path

    def exec(self, *command: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its user or another (UID:GID)."""
        runc = ["runc", "--root", str(self.state), "exec", *(["--user", user] if user else []), self.name, *command]
        return subprocess.run(runc, capture_output=True, text=True, check=False, timeout=120)


@contextmanager
def container(
    image: Image, folder: Path, *args: str, mounts: Mapping[str, Path] | None = None, volume: Path | None = None
) -> Iterator[Container]:
    """Run the image until the block ends: root read-only, no capability, a /tmp in memory, a network with itself alone.

    args: instead of its own. mounts: place → what is mounted there read-only. volume: what it may write to.
    """
    name = folder.name
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    config = image.config
    uid, gid = map(int, config["User"].split(":"))
    spec["root"] = {"path": str(image.root), "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "args": [*config["Entrypoint"], *(args or config["Cmd"])],
        "env": config["Env"],
        "cwd": config["WorkingDir"],
        "user": {"uid": uid, "gid": gid},
        "capabilities": {kind: [] for kind in spec["process"]["capabilities"]},
    }
    spec["mounts"] = [*spec["mounts"], *_mounts(mounts or {}, volume)]
    (bundle / "config.json").write_text(json.dumps(spec), encoding="utf-8")
    runc = ["runc", "--root", str(folder / "state")]
    log = folder / "log"
    with log.open("wb") as out:
        command = [*runc, "run", "--bundle", str(bundle), name]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Container(name, process, log, folder / "state")
    finally:
        stop(process)
        subprocess.run([*runc, "delete", "--force", name], capture_output=True, check=False)


def _mounts(mounts: Mapping[str, Path], volume: Path | None) -> Sequence[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"destination": "/tmp", "type": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=1777"]},
        *({"destination": place, "source": str(path), "options": ["bind", "ro"]} for place, path in mounts.items()),
    ]
    if volume is not None:
        found.append({"destination": "/var/lib/unitcost", "source": str(volume), "options": ["bind", "rw"]})
    return found
