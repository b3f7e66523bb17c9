"""The gateway: listens, screens requests, answers them, and shuts down gracefully."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from intermodal.concurrency.fair_lock import new_requester
from intermodal.concurrency.offload import offload
from intermodal.core.hints import hint
from intermodal.errors import UsageError
from intermodal.executor.api import DirectAttempt
from intermodal.gateway.billing import IDEMPOTENCY_HEADER, authenticate, begin_idempotent, store_idempotent
from intermodal.gateway.context import GatewayContext
from intermodal.gateway.direct.client_sink import abandon_handover
from intermodal.gateway.direct.direct_chats import DirectChats
from intermodal.gateway.error_answers import answer_cancelled, answer_error, answer_failure
from intermodal.gateway.failures import error_code, shutting_down
from intermodal.gateway.http1.connection import Connection, OnEnd
from intermodal.gateway.http1.http_types import GatewayRequest, HttpLimits, RequestHead
from intermodal.gateway.http1.response_writer import ResponseWriter, WriteBatcher
from intermodal.gateway.metrics import Gauges, Metrics, merged_metrics, publish_metrics, resume_counts
from intermodal.gateway.process.allocator import release_memory
from intermodal.gateway.process.fd_limits import accept_backlog, limit_connections
from intermodal.gateway.process.store_pruning import StorePruner
from intermodal.gateway.quotas.authentication import RECHECK_SECONDS
from intermodal.gateway.quotas.quota_store import StoredReply
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.origin_policy import OriginPolicy, is_preflight
from intermodal.gateway.requests.prompt_files import PromptFiles
from intermodal.gateway.routes import ROUTES, check_metrics_access, find_route, is_public, route_path
from intermodal.gateway.server_client import ServerClient
from intermodal.gateway.state.conversations import Conversations, ResponseItems, ToolCallSignatures
from intermodal.gateway.state.plan_history import PlanHistory
from intermodal.gateway.workers.sockets import bind_failure, format_address
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.telemetry.request_record import RequestRecord
from intermodal.transport.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from intermodal.gateway.quotas.quota_manager import QuotaManager
    from intermodal.gateway.workers.worker import GatewayWorker

_TURNS = 3  # turns of the event loop after which a newly accepted connection is registered
_READS = 2  # turns after which all available data has been read, so a stalled loop times out no client
_LINGER = 2.0  # seconds in which an idle client may send one more request, whose reply announces the close
_WAKE = 0.5  # seconds between two checks for silent connections
_GIVE_BACK = 60.0  # seconds between two releases of free memory to the system


class ListenSettings(NamedTuple):
    """Where a gateway listens, and its limits.

    Attributes:
        host, port: its address. Port 0 takes a free port, which ``Gateway.port`` then states.
        limits: on client input; None takes the limits of the config.
        drain: seconds that running answers get to finish when the gateway is stopped.
    """

    host: str = "127.0.0.1"
    port: int = 0
    limits: HttpLimits | None = None
    drain: float = 30.0


class Gateway:
    """Answers clients with a :class:`ServerClient`.

    Args:
        client: plans and runs the requests.
        listen: address and limits; None takes a free port on loopback.
        ledger: keys and budgets, already started; None serves every caller on this machine and no other.
        log: receives messages about internal errors and unusable prompt files.
        prompts: the prompt files to serve; None serves the folder in the config.
        worker: set if several processes serve: the sockets to listen on, and the state shared with the others.

    ``tell``, if set, is called with the record of each request after it was answered or refused.
    """

    def __init__(
        self, client: ServerClient, listen: ListenSettings | None = None, *,
        ledger: QuotaManager | None = None, log: Callable[[str], None] = lambda line: None,
        prompts: PromptFiles | None = None, worker: GatewayWorker | None = None,
    ) -> None:  # fmt: skip
        listen = listen or ListenSettings()
        host = listen.host
        if ledger is not None:
            ledger.access.check_bind(host)
        elif not is_loopback(host):
            raise UsageError(
                f"without keys only this machine is served, and {host} is more than that",
                todo=hint("leave {host} out, or put a server with authentication before it"),
            )
        self.client = client
        self.host, self.port = host, listen.port
        settings = client.config.serve
        self.limits = limit_connections(
            listen.limits
            or HttpLimits(body=settings.max_body << 20, text=settings.max_text << 20, media=settings.max_media)
        )
        if worker is not None:
            self.limits = self.limits.for_each_of(worker.post.workers)
            client.upstreams.share(worker.post.workers)
        self.worker = worker
        self.connections: set[Connection] = set()
        self.held = 0
        self.active = 0
        self.stopping = False
        self.leaving = False  # other processes take over
        self._over = False  # running requests were cancelled
        self._drain = listen.drain
        self.context = GatewayContext(
            client,
            self.limits,
            ledger,
            prompts or PromptFiles(settings.prompts, log),
            self,
            log,
            **_shared_state(worker),
        )
        self.outbox = WriteBatcher(self)
        self.direct = DirectChats(self.context, self.outbox)
        self.telemetry = client.telemetry
        self.tell: Callable[[RequestRecord], None] | None = None
        self.ledger = ledger
        others = not is_loopback(host)
        names = (*client.config.serve.names, *((host,) if others else ()))
        self._guard = OriginPolicy(names, client.config.serve.origins, addresses=others)
        self._servers: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        if worker is not None:
            resume_counts(self.context.metrics, worker)

    # ---- for the connections

    def screen(self, head: RequestHead) -> VirtualKey:
        """Check the head of a request and return the key that it presents.

        Without a valid key every path that is not public is refused, whether it exists or not, so the reply does not
        reveal which paths exist. Raises RequestRefused.
        """
        if head.sound:  # screened before: only its key or a shutdown may have changed the result
            key = ANONYMOUS if self.ledger is None else self._key_of(self.ledger, head)
            if self.stopping or key.metrics:
                head.sound = False
                return self.screen(head)
            return key
        self._guard.check(head)
        if is_preflight(head):
            return ANONYMOUS
        watching = self.client.config.serve.metrics
        free = is_public(head, watching)
        key = ANONYMOUS if self.ledger is None or free else authenticate(self.ledger, head)
        route = find_route(head)
        if not free:
            check_metrics_access(head, key, watching)
        if self.stopping and not route.open:
            raise shutting_down()
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if route.body and kind != route.body:
            raise RequestRefused(f"{head.path} takes {route.body}, not {kind[:80] or 'a body of no type'}", status=415)
        if head.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestRefused("a body must come as it is, not compressed", status=415)
        head.sound = not free and head.method == "POST"
        head.key = key
        return key

    @staticmethod
    def _key_of(ledger: QuotaManager, head: RequestHead) -> VirtualKey:
        """Return the key of a head that was screened before. Raises RequestRefused."""
        key = head.key
        if key is None or not ledger.access.is_still_valid(key):
            key = head.key = authenticate(ledger, head)
        return key

    def refuse_request(self, head: RequestHead | None, error: BaseException, reply: ResponseWriter) -> None:
        """Answer a request with an error before its body is read."""
        record = self._begin_record(head, RequestRecord(), 0)
        record.record_failure(error_code(error))
        reply.extra = {"x-request-id": record.id, **(self._guard.cors_headers(head) if head is not None else {})}
        answer_error(head, error, reply)
        self.context.metrics.count_rejected(record.route, reply.status)
        self._report(record, reply)

    def _begin_record(self, head: RequestHead | None, record: RequestRecord, size: int) -> RequestRecord:
        """Fill in the record of a request that begins, with a span if tracing is on. ``size``: bytes of its body."""
        if head is not None:
            record.method, record.path, record.version, record.size = head.method, head.path, head.version, size
            record.route = route_path(head)
            if self.telemetry is not None:
                from intermodal.telemetry.signals import RequestSpan

                record.span = RequestSpan(self.telemetry, record, head.headers)
        return record

    def _end_record(self, record: RequestRecord, reply: ResponseWriter) -> None:
        """Count a request that has ended and report it."""
        self._report(record, reply)
        self.context.metrics.count_request(record)

    def _report(self, record: RequestRecord, reply: ResponseWriter) -> None:
        record.record_end(reply.status, reply.sent, whole=reply.ended)
        if self.tell is not None:
            self.tell(record)

    def answer_without_task(self, request: GatewayRequest, reply: ResponseWriter, over: OnEnd) -> DirectAttempt | None:
        """Start a direct call without a task if nothing has to be awaited first; otherwise return None.

        The caller then calls ``answer``. ``over`` is called when the call ends; if it failed before anything was sent
        to the client, ``answer`` continues from that attempt.
        """
        route = ROUTES.get((request.head.method, request.head.path))
        if (
            route is None
            or route.passes is None
            or self.telemetry is not None
            or IDEMPOTENCY_HEADER in request.head.headers
        ):
            return None
        if self._over or self._is_key_stale(request):  # after the shutdown has cancelled all, nothing would cancel it
            return None
        request.api = route.passes
        try:
            attempt = self.direct.at_once(request, route.passes, reply, over)
        except Exception:  # ``answer`` meets the same error and reports it
            return None
        if attempt is None:
            return None
        self._begin(request, reply)
        if not attempt.start():
            attempt.break_references()
            self.active -= 1
            return None
        request.chat = None  # the attempt holds the parsed chat now
        return attempt

    def _begin(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        self.active += 1
        reply.keep_alive &= not self.leaving
        record = self._begin_record(request.head, request.served, len(request.body))
        record.key = "" if request.key is ANONYMOUS else request.key.id
        request.response_headers["x-request-id"] = record.id
        if "origin" in request.head.headers:
            request.response_headers |= self._guard.cors_headers(request.head)
        reply.extra = request.response_headers

    async def answer(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Answer a request by its route, or with an error. Under an Idempotency-Key it is executed once."""
        new_requester()
        self._begin(request, reply)
        record = request.served
        if record.span is not None:
            record.span.enter()
        try:
            found = None
            if request.after is None:
                self._recheck_key(request)
                found = await begin_idempotent(self.ledger, request) if self.ledger is not None else None
            if isinstance(found, StoredReply):
                headers = dict(line.split(": ", 1) for line in found.headers.splitlines())
                about = {"content-type": found.content_type, "idempotency-replayed": "true"}
                reply.write_whole(found.status, found.body, {**headers, **about})
            elif found is not None and self.ledger is not None:
                async with store_idempotent(self.ledger, found, request, reply):
                    await self._answer(request, reply)
            else:
                await self._answer(request, reply)
        except RequestRefused as error:
            record.record_failure(error_code(error))
            answer_error(request.head, error, reply, record)
        finally:
            self.finish_request(request, reply)

    def finish_request(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Count and report a request that was answered or failed."""
        self.active -= 1
        self._end_record(request.served, reply)

    def leave_to_task(self) -> None:
        """Stop counting a request as active: it continues in a task, which counts it."""
        self.active -= 1

    def close_unbegun(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Close a request whose task was cancelled before it began."""
        if request.after is not None:
            abandon_handover(self.context, request, request.after)
            request.after = None
        else:
            self._begin_record(request.head, request.served, len(request.body))
        answer_cancelled(request, reply)
        self._end_record(request.served, reply)

    def _is_key_stale(self, request: GatewayRequest) -> bool:
        """Return True if the key was checked so long ago that it may have been revoked since.

        A body may take hours to arrive, and a pipelined request waits for the replies to the requests before it.
        """
        return monotonic() - request.since > RECHECK_SECONDS

    def _recheck_key(self, request: GatewayRequest) -> None:
        """Check the key again if it was checked a while ago. Raises RequestRefused."""
        if self.ledger is not None and request.key is not ANONYMOUS and self._is_key_stale(request):
            request.key = authenticate(self.ledger, request.head)

    async def _answer(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        try:
            await self._route(request, reply)
        except asyncio.CancelledError:
            answer_cancelled(request, reply)
            raise
        except ConnectionResetError:
            return
        except Exception as error:
            answer_failure(self.context, request, reply, error)

    async def _route(self, request: GatewayRequest, reply: ResponseWriter) -> None:
        """Answer on the direct path if the plan is direct; otherwise call the handler, which continues its attempt."""
        route = find_route(request.head)
        request.api = route.passes
        if (
            request.after is None
            and route.passes is not None
            and await self.direct.answer(request, reply, route.passes)
        ):
            return
        try:
            await route.answer(self.context, request, reply)
        finally:
            if request.after is not None:
                abandon_handover(self.context, request, request.after)
                request.after = None

    # ---- for health checks and metrics

    def counters(self) -> tuple[Metrics, Gauges]:
        """Publish this worker's metrics for the other workers; return the counters and gauges of all of them."""
        if self.worker is None:
            return self.context.metrics, self._gauges()
        self._publish(self.worker, self._gauges())
        return merged_metrics(self.worker)

    def _gauges(self) -> Gauges:
        tasks = len(asyncio.all_tasks())
        return Gauges(connections=len(self.connections), active=self.active, held=self.held, tasks=tasks)

    def _publish(self, worker: GatewayWorker, now: Gauges | None) -> None:
        if not publish_metrics(worker, self.context.metrics, now):
            self.context.note("this worker has too many counters to share")

    # ---- life

    async def start(self) -> None:
        """Listen. Raises UsageError if the port is in use, InputMissing if the prompts folder does not exist."""
        await self.context.prompts.start()
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(self, loop)

        try:
            if self.worker is not None:
                for line in self.worker.sockets:
                    self._servers.append(await loop.create_server(connection, sock=line, backlog=1))
            else:
                host = self.host.strip("[]")
                self._servers.append(await loop.create_server(connection, host, self.port, backlog=accept_backlog()))
        except OSError as error:
            raise bind_failure(error, self.host, self.port) from None
        self.port = self._servers[0].sockets[0].getsockname()[1]

    @property
    def needs_key(self) -> bool:
        """True if clients need a key."""
        return self.ledger is not None and self.ledger.access.needs_key

    @property
    def url(self) -> str:
        return f"http://{format_address(self.host, self.port)}"

    async def serve(self, *, signals: bool = False) -> None:
        """Answer requests until ``stop`` is called or a signal arrives, then drain.

        A second signal ends it immediately.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
            loop.add_signal_handler(number, self.stop)
        if self.worker is not None:
            self._watch_parent(self.worker, loop)
        watching, pruning = loop.create_task(self._run_periodic_work()), StorePruner(self.client)
        pruning.start()
        try:
            await self._stop.wait()
            await self._drain_connections()
        finally:
            watching.cancel()
            await pruning.close()
            await self.direct.engine.close()
            if self.worker is not None:
                self._publish(self.worker, None)
            for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Shut down gracefully, or immediately if called a second time."""
        if self.stopping:
            self._hurry.set()
        self.stopping = True
        self._stop.set()

    def _watch_parent(self, worker: GatewayWorker, loop: asyncio.AbstractEventLoop) -> None:
        """Report to the parent process that this worker serves; stop when the parent ends or starts a successor."""

        def on_parent_exit() -> None:
            loop.remove_reader(worker.line)
            self.stop()

        loop.add_signal_handler(signal.SIGHUP, self.hand_over)
        loop.add_reader(worker.line, on_parent_exit)
        worker.announce_ready()

    def hand_over(self) -> None:
        """Shut down gracefully while successors accept new connections, so that no client is refused."""
        self.leaving = True
        self._stop.set()

    async def _drain_connections(self) -> None:
        """Let running answers finish, refuse new requests with 503, and cancel the rest after the drain time.

        If successors take over, requests that have partly arrived are still read and answered.
        """
        if not self.stopping:
            await self._stop_accepting()
            await self._announce_end()
        for connection in tuple(self.connections):
            connection.close_when_idle(shutting_down() if self.stopping else None)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain
        while self._has_work and loop.time() < until and not self._hurry.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), 0.05)
        await self._stop_accepting()
        self._over = True
        tasks = [each.task for each in self.connections if isinstance(each.task, asyncio.Task)]
        for connection in tuple(self.connections):
            connection.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        for connection in tuple(self.connections):
            connection.close_when_idle(shutting_down())

    @property
    def _has_work(self) -> bool:
        return self.active > 0 or (self.leaving and any(each.busy for each in self.connections))

    async def _announce_end(self) -> None:
        """Let idle clients learn from a ``connection: close`` header that their connection ends.

        A client whose connection is closed while it sends a request would see a broken connection.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _LINGER
        while self.connections and loop.time() < until and not self.stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), 0.05)

    async def _stop_accepting(self) -> None:
        """Stop accepting without losing a connection: asyncio drops a socket that it accepted just before the close."""
        for socket in (socket for server in self._servers for socket in server.sockets):
            asyncio.get_running_loop().remove_reader(socket.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()

    async def _run_periodic_work(self) -> None:
        loop = asyncio.get_running_loop()
        given_back = loop.time()
        while True:
            await asyncio.sleep(_WAKE)
            now = loop.time()
            if now - given_back > _GIVE_BACK:
                given_back = now
                await offload(True, release_memory)
            for _ in range(_READS):
                await asyncio.sleep(0)
            self.direct.engine.watch(now)
            if self.worker is not None:
                self._publish(self.worker, self._gauges())
            for connection in tuple(self.connections):
                if connection.deadline is not None and connection.deadline < now:
                    connection.deadline = None
                    connection.close_idle()


def _shared_state(worker: GatewayWorker | None) -> dict[str, Any]:
    """Return the state that a worker shares with the other workers; {} for a single process, which has its own."""
    if worker is None:
        return {}
    memory = worker.memory
    return {
        "conversations": Conversations(memory.places), "plans": PlanHistory(memory.plans),
        "items": ResponseItems(shared=memory.items), "signatures": ToolCallSignatures(memory.items),
    }  # fmt: skip
