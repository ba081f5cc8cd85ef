"""Flows as they are deployed, with all their revisions (facts 4)."""

from __future__ import annotations

import threading

from tests.kestra.double.options import Options
from tests.kestra.double.sources import Flow, InvalidFlow, read
from tests.kestra.double.store import Record, Store
from tests.kestra.double.web import Refusal, Reply, Request


class Flows:
    """Takes flows, keeps them, and gives them out."""

    def __init__(self, options: Options, store: Store) -> None:
        self._options = options
        self._store = store
        self._lock = threading.Lock()
        self._flows = store.flows()

    def validate(self, request: Request) -> Reply:
        """POST flows/validate: always 200, the status says nothing."""
        said: Record = {"index": 0, "outdated": False, "warnings": []}
        try:
            self._read(request)
        except Refusal as refusal:
            prefix = "" if self._options.dialect == "0" else "Validation error: "
            said["constraints"] = prefix + str(refusal.message).removeprefix("Invalid entity: ")
        return Reply([said])

    def create(self, request: Request) -> Reply:
        """POST flows."""
        document = self._read(request)
        key = (str(document["namespace"]), str(document["id"]))
        with self._lock:
            if key in self._flows:  # never 409
                raise Refusal(422, "Invalid entity: flow.id: Flow id already exists")
            return self._deployed(key, request.body.decode(), 1)

    def update(self, request: Request, namespace: str, flow_id: str) -> Reply:
        """PUT flows/{namespace}/{id}: a changed source is a new revision, be it by a comment."""
        document = self._read(request)
        with self._lock:
            revisions = self._flows.get((namespace, flow_id))
            if not revisions:
                raise Refusal(404, "Not Found")
            if (document["namespace"], document["id"]) != (namespace, flow_id):
                raise Refusal(422, "Invalid entity: flow.id: Illegal flow id update")
            source = request.body.decode()
            if source == revisions[-1].source:
                return Reply(_shown(revisions[-1], with_source=True))
            return self._deployed((namespace, flow_id), source, revisions[-1].revision + 1)

    def _deployed(self, key: tuple[str, str], source: str, revision: int) -> Reply:
        flow = Flow(*key, revision, source)
        self._flows.setdefault(key, []).append(flow)
        self._store.keep_flows(self._flows)
        return Reply(_shown(flow, with_source=True))

    def _read(self, request: Request) -> Record:
        if "yaml" not in request.content_type:
            raise Refusal(415, f"Content Type [{request.content_type}] not allowed.")
        try:
            return read(request.body.decode(), self._options.dialect, self._options.plugins)
        except InvalidFlow as fault:
            raise Refusal(422, f"Invalid entity: {fault}") from None

    def find(self, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
        """Return a flow, its newest revision unless another is asked for; raises Refusal."""
        revisions = self._flows.get((namespace, flow_id), [])
        for flow in reversed(revisions):
            if revision in (None, flow.revision):
                return flow
        raise Refusal(404, "Requested Flow is not found.")

    def show(self, request: Request, namespace: str, flow_id: str) -> Reply:
        """GET flows/{namespace}/{id}; with its source only where that is asked for."""
        revision = request.asked("revision")
        flow = self.find(namespace, flow_id, int(revision) if revision else None)
        return Reply(_shown(flow, with_source=request.asked("source") == "true"))


def _shown(flow: Flow, *, with_source: bool) -> Record:
    document = flow.document
    view = {**document, "revision": flow.revision, "deleted": False, "disabled": bool(document.get("disabled"))}
    view["draft"] = False
    return view | {"source": flow.source} if with_source else view
