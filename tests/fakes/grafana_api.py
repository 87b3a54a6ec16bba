"""The part of Grafana's HTTP API that brings in folders and pages, with its answers and its refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import Reply, Request

TOKEN = "glsa_of-an-editor"
VIEWER = "glsa_of-a-viewer"


@dataclass
class Grafana:
    """Folders (uid → title) and pages (uid → page with its folder and version); answers one request at a time."""

    folders: dict[str, str] = field(default_factory=dict)
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)
    """Pages that come from files, which the API must not change."""

    def __call__(self, request: Request) -> Reply:
        """Answer as Grafana does."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in {TOKEN, VIEWER}:
            return said(401, message="Invalid API key")
        return self._read(request) if request.method == "GET" else self._written(request, token)

    def _read(self, request: Request) -> Reply:
        uid = request.path.removeprefix("/api/folders/")
        if uid not in self.folders:
            return said(404, message="folder not found")
        return said(200, uid=uid, title=self.folders[uid])

    def _written(self, request: Request, token: str) -> Reply:
        if token == VIEWER:
            return said(403, message="You'll need additional permissions to perform this action.")
        try:
            given = json.loads(request.body) if request.headers.get("content-type") == "application/json" else None
        except json.JSONDecodeError:
            given = None
        if given is None:
            return said(400, message="bad request data")
        answers = {"/api/folders": self._folder, "/api/dashboards/db": self._page}
        return answers[request.path](given)

    def _folder(self, given: Mapping[str, Any]) -> Reply:
        uid = given["uid"]
        if uid in self.folders:
            return said(409, message="a folder with that uid already exists")
        self.folders[uid] = given["title"]
        return said(200, uid=uid, title=given["title"], url=f"/dashboards/f/{uid}/")

    def _page(self, given: Mapping[str, Any]) -> Reply:
        page, folder = given["dashboard"], given.get("folderUid", "")  # "": of no folder
        uid, title = page["uid"], page["title"]
        if folder and folder not in self.folders:
            return said(400, message="folder not found")
        if uid in self.provisioned:
            return said(400, message="Cannot save provisioned dashboard")
        before = self.pages.get(uid)
        if before is not None and not given.get("overwrite") and page.get("version") != before["version"]:
            return said(412, status="version-mismatch", message="The dashboard has been changed by someone else")
        same_name = [one for one in self.pages.values() if (one["title"], one["folder"]) == (title, folder)]
        if any(one["uid"] != uid for one in same_name) and not given.get("overwrite"):
            text = "A dashboard with the same name in the folder already exists"
            return said(412, status="name-exists", message=text)
        version = 1 if before is None else before["version"] + 1
        self.pages[uid] = {**page, "folder": folder, "version": version}
        slug = title.lower().replace(" ", "-")
        return said(200, folderUid=folder, id=len(self.pages), slug=slug, status="success", uid=uid,
                    url=f"/d/{uid}/{slug}", version=version)  # fmt: skip


def said(code: int, **content: Any) -> Reply:
    """Return an answer as Grafana writes it: JSON in one line."""
    return Reply(json.dumps(content, separators=(",", ":")), code, {"Content-Type": "application/json"})
