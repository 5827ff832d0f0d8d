"""Kubernetes' API over plain HTTP, as much as kubectl asks for: discovery, create, get, list, watch, patch and delete. A
request that it does not know is an error that says so, and never a silent yes."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import kubernetes_validate

from . import patches, protobuf
from .kinds import Resource, discovery
from .store import Store

# As in test_schemas.
SCHEMAS = "1.36.0"
WATCH_LIMIT_S = 60


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str):
        super().__init__(message)
        self.status = {
            **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"},
            **{"message": message, "reason": reason, "code": code},
        }


@dataclass(frozen=True)
class Request:
    """What a client asked for, for the tests to look at."""

    verb: str
    resource: Resource
    namespace: str
    name: str


class ApiServer:
    def __init__(self, resources: list[Resource]):
        self.resources = resources
        self.store = Store()
        self.asked: list[Request] = []
        # Called before a watch is answered, with what is watched.
        self.when_watched = lambda resource, selected: None
        self.closing = False

    def resource(self, kind: str) -> Resource:
        return next(one for one in self.resources if one.kind == kind)

    def request(self, verb: str, path: str) -> Request:
        parts = path.split("/")
        root, rest = "/".join(parts[: 2 if parts[0] == "api" else 3]), parts[2 if parts[0] == "api" else 3 :]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name, *more = [*rest, "", ""][: max(2, len(rest))]
        for one in self.resources:
            if (one.root, one.plural) == (root, plural) and not more:
                return Request(verb, one, namespace, name)
        raise Refused(404, "NotFound", f"the stand-in knows nothing at /{path}")

    def create(self, request: Request, one: dict) -> dict:
        if request.namespace:
            one["metadata"].setdefault("namespace", request.namespace)
            if not self.store.get(self.resource("Namespace"), "", request.namespace):
                raise Refused(404, "NotFound", f'namespaces "{request.namespace}" not found')
        name = one["metadata"]["name"]
        if self.store.get(request.resource, request.namespace, name):
            raise Refused(409, "AlreadyExists", f'{request.resource.plural} "{name}" already exists')
        check(one)
        return self.store.put(request.resource, one)

    def get(self, request: Request) -> dict:
        found = self.store.get(request.resource, request.namespace, request.name)
        if not found:
            raise Refused(404, "NotFound", f'{request.resource.plural} "{request.name}" not found')
        return found

    def patch(self, request: Request, media_type: str, patch) -> dict:
        if media_type not in patches.APPLIERS:
            raise Refused(415, "UnsupportedMediaType", f"a patch that is {media_type} is not known here")
        old = self.get(request)
        try:
            new = patches.apply(media_type, old, patch)
        except patches.BadPatch as bad:
            raise Refused(422, "Invalid", str(bad)) from bad
        if new["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", f"{request.name} has been changed since it was read")
        check(new)
        return self.store.put(request.resource, new)

    def delete(self, request: Request) -> dict:
        uid = self.get(request)["metadata"]["uid"]
        self.store.delete(request.resource, request.namespace, request.name)
        details = {"name": request.name, "kind": request.resource.plural, "uid": uid}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def list(self, request: Request, query: dict[str, str]) -> dict:
        chosen = selection(query)
        with self.store.changed:
            found = [one for one in self.store.list(request.resource, request.namespace) if chosen(one)]
            metadata = {"resourceVersion": str(self.store.version())}
        kind = request.resource.kind + "List"
        return {"kind": kind, "apiVersion": request.resource.api_version, "metadata": metadata, "items": found}

    def watch(self, request: Request, query: dict[str, str]) -> Iterator[dict]:
        """All changes after the version that was asked for, until the client has waited long enough."""
        if "sendInitialEvents" in query:
            # As a server without the feature WatchList says it; clients then list and watch.
            raise Refused(422, "Invalid", "sendInitialEvents is not known here")
        if query.get("resourceVersion", "0") in ("", "0"):
            raise Refused(400, "BadRequest", "a watch here begins at a version: list first")
        self.when_watched(request.resource, self.list(request, query)["items"])
        return self.changes(request, query, int(query["resourceVersion"]))

    def changes(self, request: Request, query: dict[str, str], seen: int) -> Iterator[dict]:
        chosen = selection(query)
        deadline = time.monotonic() + min(WATCH_LIMIT_S, int(query.get("timeoutSeconds", WATCH_LIMIT_S)))
        while not self.closing and time.monotonic() < deadline:
            with self.store.changed:
                self.store.changed.wait_for(
                    lambda: self.closing or self.store.version() > seen, max(0, deadline - time.monotonic())
                )
                fresh, seen = self.store.history[seen:], self.store.version()
            for what, resource, one in fresh:
                here = request.namespace in ("", one["metadata"].get("namespace"))
                if resource == request.resource and here and chosen(one):
                    yield {"type": what, "object": one}

    def close(self) -> None:
        with self.store.changed:
            self.closing = True
            self.store.changed.notify_all()


def check(one: dict) -> None:
    """Strictly, as kubectl asks a server to."""
    try:
        kubernetes_validate.validate(one, SCHEMAS, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise Refused(400, "BadRequest", f"{'.'.join(map(str, error.path))}: {error.message}") from error
    except kubernetes_validate.SchemaNotFoundError as error:
        raise Refused(400, "BadRequest", f"{error.message}: custom kinds are not known here") from error


def selection(query: dict[str, str]) -> Callable[[dict], bool]:
    """By labels and by fields."""
    labels, fields = (terms(query.get(name, "")) for name in ("labelSelector", "fieldSelector"))

    def chosen(one: dict) -> bool:
        carried = one["metadata"].get("labels", {})
        return all((carried.get(key) == value) == equal for key, value, equal in labels) and all(
            (field(one, path) == value) == equal for path, value, equal in fields
        )

    return chosen


def terms(selector: str) -> list[tuple[str, str, bool]]:
    """(what, its value, whether it has to be that value or must not)."""
    found = []
    for term in selector.split(",") if selector else []:
        match = re.fullmatch(r"([^\s=!]+)(!=|==?)([^\s=]*)", term)
        if not match:
            raise Refused(400, "BadRequest", f"the selector {term!r} is not of the kind KEY=VALUE or KEY!=VALUE")
        found.append((match[1], match[3], match[2] != "!="))
    return found


def field(one: dict, path: str):
    for step in path.split("."):
        one = one.get(step, {})
    return one


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Buffered: a header and a body that go out one by one wait 40 ms for each other.
    wbufsize = -1
    server: Listener

    def log_message(self, *_):
        """Nothing: what was asked is in `asked`."""

    def handle_one(self):
        url = urlsplit(self.path)
        path = unquote(url.path).strip("/")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.answer(200, self.answer_to(path, query, body))
        except Refused as refused:
            self.answer(refused.status["code"], refused.status)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_one

    def answer_to(self, path: str, query: dict[str, str], body: bytes):
        server = self.server.api
        known = discovery(server.resources, path) if self.command == "GET" else None
        if known:
            return known
        if "dryRun" in query:
            raise Refused(400, "BadRequest", "dry runs on the server are not known here")
        watched = query.get("watch") in ("1", "true")
        read = "watch" if watched else "list"
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(self.command, read)
        request = server.request(verb, path)
        if verb == "list" and request.name:
            request = server.request("get", path)
        server.asked.append(request)
        parsed = self.parsed(body)
        match request.verb:
            case "create":
                return server.create(request, parsed)
            case "patch":
                return server.patch(request, self.headers["Content-Type"], parsed)
            case "delete":
                return server.delete(request)
            case "get":
                return server.get(request)
            case "list":
                return server.list(request, query)
        return server.watch(request, query)

    def parsed(self, body: bytes):
        if self.headers.get("Content-Type") != protobuf.MEDIA_TYPE:
            return json.loads(body) if body else None
        try:
            return protobuf.decode(body)
        except protobuf.Unreadable as unreadable:
            raise Refused(415, "UnsupportedMediaType", str(unreadable)) from unreadable

    def answer(self, code: int, what):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        if isinstance(what, dict):
            body = json.dumps(what).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.stream(what)

    def stream(self, events: Iterator[dict]):
        self.wfile.flush()
        try:
            # Past the buffer, which would try to send what is left in it to a client that has gone.
            for event in events:
                line = json.dumps(event).encode() + b"\n"
                self.connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            self.connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # It has seen what it waited for.
            self.close_connection = True


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    api: ApiServer


@contextmanager
def listening(api: ApiServer):
    """Gives the address."""
    with Listener(("127.0.0.1", 0), Handler) as listener:
        listener.api = api
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            api.close()
            listener.shutdown()
            thread.join()
