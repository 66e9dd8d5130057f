"""A small Hub on 127.0.0.1, as far as the real client needs one, with faults to order.

Large files lie on a second host, as on the real one: the Hub answers with a redirect that carries commit,
sha256 and size, and the other host, which must not get the token, sends the bytes.
"""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .processes import PATIENCE

REPO = "lab/mattes"
MOST_POURED = 2**28  # so that a client that never leaves fails its test
REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Fault:
    """What goes wrong: on the Hub itself, or on the ``store`` of large files.

    ``cuts`` are the bytes that the next answers of the store stop after, ``resets`` how many of them end the
    connection without a word; ``stall`` is head or body. ``said`` are headers that replace the right ones, once
    ``honest`` questions have been answered truly; ``pours`` is head (the Hub's own answers) or body, which then do not
    end before the client leaves.
    """

    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    store_status: int = 0
    cuts: list[int] = field(default_factory=list)
    resets: int = 0
    stall: str = ""
    content: bytes | None = None
    etag: str = ""
    size: int = 0
    plain: bool = False
    said: dict[str, str] = field(default_factory=dict)
    honest: int = 0
    pours: str = ""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hub:
    """The state of the server: ``files`` by (repo, revision, name), and what was asked."""

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    fault: Fault = field(default_factory=Fault)
    requests: list[Request] = field(default_factory=list)
    repos: set[str] = field(default_factory=set)
    commits: list[dict[str, Any]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    hold_until: int = 0  # questions about a file before the store begins to send
    url: str = ""
    store_url: str = ""
    poured: int = 0  # bytes of answers without an end
    released: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def asked(self, method: str, part: str = "") -> list[Request]:
        return [request for request in self.requests if request.method == method and part in request.path]

    def note(self, request: Request) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def hold(self) -> None:
        """Wait until ``hold_until`` questions have come, so that two clients surely overlap."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.asked("HEAD", "/resolve/")) >= self.hold_until, PATIENCE)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def pour(self, status: int, **headers: str) -> None:
        """Answer without an end."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True
        while self.server.hub.poured < MOST_POURED:
            self.server.hub.poured += self.wfile.write(bytes(2**16))

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client has had enough
            self.close_connection = True

    def serve(self) -> None:
        hub = self.server.hub
        hub.note(Request(self.command, self.path, dict(self.headers)))
        getattr(self, self.server.role)(hub)

    do_HEAD = do_GET = do_POST = do_PUT = serve  # noqa: N815

    def hub(self, hub: Hub) -> None:
        """Answer as the Hub itself."""
        if "/resolve/" in self.path:
            self.resolve(hub)
        elif self.command == "POST":
            self.publish(hub)
        else:
            self.answer(404)

    def resolve(self, hub: Hub) -> None:
        fault, hub.fault.honest = hub.fault if hub.fault.honest <= 0 else Fault(), hub.fault.honest - 1
        if fault.stall == "head":
            hub.released.wait(PATIENCE)
        if fault.status:
            answer = self.pour if fault.pours == "head" and self.command == "GET" else self.answer
            answer(fault.status, X_Error_Code=fault.code, **fault.headers)
            return
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        revision = REVISION if revision == "main" else revision
        content = hub.files.get((repo, revision, name))
        if content is None:
            self.answer(404, X_Error_Code="EntryNotFound")
        elif fault.plain:
            self.answer(200)
        else:
            sha256 = hashlib.sha256(content).hexdigest()
            right = {
                "Location": f"{hub.store_url}/{sha256}",
                "X_Repo_Commit": revision,
                "X_Linked_Etag": f'"{fault.etag or sha256}"',
                "X_Linked_Size": str(fault.size or len(content)),
            }
            self.answer(302, **{name: value for name, value in (right | fault.said).items() if value})

    def store(self, hub: Hub) -> None:
        """Answer as the host of large files."""
        sha256 = self.path.lstrip("/")
        if self.command == "PUT":
            hub.uploads[sha256] = self.body()
            self.answer(200)
            return
        if hub.fault.store_status:
            self.answer(hub.fault.store_status)
            return
        if hub.fault.pours == "body":
            self.pour(200, **hub.fault.headers)
            return
        hub.hold()
        name, whole = next((k[2], c) for k, c in hub.files.items() if hashlib.sha256(c).hexdigest() == sha256)
        whole = hub.fault.content or whole
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(whole) - first))
        self.send_header("Content-Disposition", f'inline; filename="{name}";')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        cut = hub.fault.cuts.pop(0) if hub.fault.cuts else len(whole)
        self.wfile.write(whole[first : first + cut])
        if hub.fault.stall == "body":
            hub.released.wait(PATIENCE)
        self.close_connection = True
        if hub.fault.resets:
            hub.fault.resets -= 1
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def publish(self, hub: Hub) -> None:
        body = self.body()
        if hub.fault.pours == "head":
            self.pour(200)
        elif "Authorization" not in self.headers:
            self.answer(401)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            self.answer(409 if repo in hub.repos else 200, {"url": f"{hub.url}/{repo}"})
            hub.repos.add(repo)
        elif self.path == "/api/validate-yaml":
            self.answer(200, {})
        elif "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(body)["files"]]
            modes = [
                {"path": n, "uploadMode": "regular" if n.endswith(".md") else "lfs", "shouldIgnore": False}
                for n in names
            ]
            self.answer(200, {"files": modes})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**entry, "actions": {"upload": {"href": f"{hub.store_url}/{entry['oid']}"}}}
                for entry in json.loads(body)["objects"]
            ]
            self.answer(200, {"objects": objects, "transfer": "basic"})
        elif "/commit/" in self.path:
            self.commit(hub, body)
        else:
            self.answer(404)

    def commit(self, hub: Hub, body: bytes) -> None:
        repo = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        oid = hashlib.sha1(body).hexdigest()
        lines = [json.loads(line) for line in body.splitlines()]
        files = {}
        for entry in (line["value"] for line in lines if line["key"] != "header"):
            content = hub.uploads[entry["oid"]] if "oid" in entry else base64.b64decode(entry["content"])
            files[entry["path"]] = hub.files[repo, oid, entry["path"]] = content
        hub.commits.append({"repo": repo, "oid": oid, "files": files})
        self.answer(200, {"commitUrl": f"{hub.url}/{repo}/commit/{oid}", "commitOid": oid})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, role: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.role = hub, role
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve files of REPO at REVISION, by name, on two ports of this machine."""
    hub = Hub({(REPO, REVISION, name): content for name, content in files.items()}, repos={REPO})
    servers = [Server(hub, role) for role in ("hub", "store")]
    hub.url, hub.store_url = (server.url for server in servers)
    try:
        yield hub
    finally:
        hub.released.set()
        for server in servers:
            server.shutdown()
            server.server_close()
