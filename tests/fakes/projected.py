"""A folder as Kubernetes mounts ConfigMaps and Secrets: links into a folder that is replaced whole, and taken away."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import count
from pathlib import Path

DATA = "..data"
_versions = count(1)


def mount(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, or put others in their place, as a kubelet's AtomicWriter does."""
    folder.mkdir(exist_ok=True)
    data, before = folder / DATA, (folder / DATA).resolve() if (folder / DATA).exists() else None
    version = folder / f"..2026_11_28_{next(_versions)}"
    for name, text in files.items():
        (version / name).parent.mkdir(parents=True, exist_ok=True)
        (version / name).write_text(text, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(data)
    for name in {Path(name).parts[0] for name in files}:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path(DATA) / name)
    if before is not None:
        shutil.rmtree(before)
