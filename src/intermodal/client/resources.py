"""The resources of a client: child processes, connections, store, catalog.

Each is created on first use and closed with the client. Planning reads some of them (catalog, weights, vocabularies,
statistics); runs use the others (media workers, runtimes, transport).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from msgspec.structs import replace

from intermodal.catalog.load import rate_card_lookup, with_named_models
from intermodal.catalog.types import Catalog
from intermodal.client import request_builder
from intermodal.config.config_file import Config, cache_dir, data_dir, load_config, snapshot_file
from intermodal.core.content import Kind
from intermodal.core.hints import Surface
from intermodal.local.discovery.catalog_cache import CatalogCache
from intermodal.local.discovery.server_directory import ServerDirectory
from intermodal.plans.cpu_schedule import MOST_DECODERS

if TYPE_CHECKING:
    from intermodal.core.request import Request
    from intermodal.executor.attempt.circuit_breaker import EndpointHealth
    from intermodal.executor.dependencies import Dependencies
    from intermodal.local.servers.context_fit import ContextFitter
    from intermodal.local.tokenizers.token_counter import TokenCounter
    from intermodal.local.weights.store import WeightsStore
    from intermodal.media.worker_client import MediaWorker
    from intermodal.plans.facts import Facts, QuestionFacts
    from intermodal.plans.machine import Machine
    from intermodal.plans.plan import Inputs, Plan
    from intermodal.questions.question_reader import QuestionReader
    from intermodal.store.database import Store
    from intermodal.telemetry.signals import Signals

PICTURES: tuple[Kind, ...] = ("image",)
_EXPORT_SECONDS = 3.0  # seconds to wait on close until the collector has accepted all queued data


def _replan(inputs: Inputs, upstreams: EndpointHealth, surface: Surface, request: Request, facts: Facts) -> Plan:
    """Plan the rest of a run from the remaining budget and time, the finished steps, and the refusals of endpoints."""
    from intermodal.planner import plan_from

    facts, catalog = upstreams.with_refusals(facts), upstreams.apply_lessons(inputs.catalog)
    return plan_from(replace(inputs, request=request, facts=facts, catalog=catalog), surface)


class ClientResources:
    """Child processes, connections, the store and the catalog of one client.

    ``surface``: the surface whose setting names appear in plans that are made during a run.
    """

    surface: ClassVar[Surface] = "command line"

    def __init__(
        self,
        config: Config | None = None,
        *,
        env: Mapping[str, str] | None = None,
        remember: bool = False,
        keep_loaded: bool = True,
    ) -> None:
        self.env: Mapping[str, str] = os.environ if env is None else env
        self.config = request_builder.checked_config(load_config(self.env) if config is None else config)
        self._remember = remember
        self._keep_loaded = keep_loaded
        self._media: MediaWorker | None = None
        self._runtimes: Any = None
        self._transport: Any = None
        self._store: Store | None = None
        self._vocabularies: TokenCounter | None = None
        self.known = ServerDirectory(self.config, self.env)
        self._last_catalog = Catalog()
        self._known_now = CatalogCache(self.env)
        self._weights: WeightsStore | None = None

    @property
    def media(self) -> MediaWorker:
        """The media workers: child processes that start on first use."""
        if self._media is None:
            from intermodal.local.hardware.machine import cores
            from intermodal.media.worker_client import MediaWorker

            self._media = MediaWorker(places=min(cores(), MOST_DECODERS))
        return self._media

    @property
    def weights(self) -> WeightsStore:
        if self._weights is None:
            from intermodal.local.weights.store import weights_store

            self._weights = weights_store(self.env)
        return self._weights

    @cached_property
    def _questions(self) -> QuestionReader:
        from intermodal.questions.question_reader import QuestionReader

        return QuestionReader()

    @cached_property
    def _upstreams(self) -> EndpointHealth:
        """The health and learned limits of endpoints, from calls made by this client."""
        from intermodal.executor.attempt.circuit_breaker import EndpointHealth

        return EndpointHealth(self.known.learn)

    @cached_property
    def context_fitter(self) -> ContextFitter:
        """Fits the context windows of local models to the free memory."""
        from intermodal.local.servers.context_fit import ContextFitter

        return ContextFitter(self.weights, self.env)

    @property
    def runtimes(self) -> Any:
        """The embedded models, which run in child processes of this client."""
        if self._runtimes is None:
            from intermodal.local.servers.client_runtimes import ClientRuntimes

            self._runtimes = ClientRuntimes(self.weights, self.env)
        return self._runtimes

    @property
    def vocabularies(self) -> TokenCounter:
        if self._vocabularies is None:
            from intermodal.local.tokenizers.token_counter import TokenCounter

            self._vocabularies = TokenCounter(self.weights)
        return self._vocabularies

    @property
    def store(self) -> Store:
        if self._store is None:
            from intermodal.store.database import Store

            self._store = Store(data_dir(self.env) / "store.sqlite3")
        return self._store

    @cached_property
    def telemetry(self) -> Signals | None:
        """The export of spans and metrics; None unless the config enables it.

        OpenTelemetry's environment variables alone enable nothing, since they may be meant for the program that uses
        this client.
        """
        from intermodal.telemetry.activation import DISABLED, is_enabled, start_telemetry

        settings = self.config.telemetry
        switch = {name: value for name, value in self.env.items() if name == DISABLED}
        return start_telemetry(settings, self.env) if is_enabled(settings, switch) else None

    def _build_dependencies(self, inputs: Inputs, *, exact: bool = False, live: bool = True) -> Dependencies:
        from intermodal.config.api_keys import find_key
        from intermodal.executor.dependencies import Dependencies
        from intermodal.store.conversion_cache import FOLDER, ConversionCache
        from intermodal.transport.client import Transport
        from intermodal.transport.timeouts import Timeouts

        if self._transport is None:
            self._transport = Transport()
        return Dependencies(
            catalog=inputs.catalog, media=self.media, runtimes=self.runtimes, store=self.store,
            derived=ConversionCache(cache_dir(self.env) / FOLDER),
            transport=self._transport, upstreams=self._upstreams,
            find_key=lambda host: find_key(host, self.env),
            count=self.vocabularies.count,
            tariff=rate_card_lookup(snapshot_file(self.env)),
            pay_twice=inputs.request.policy.pay_twice, resends=inputs.request.policy.resends,
            timeouts=Timeouts().as_said(self.config.timeouts),
            live=live, keep_loaded=self._keep_loaded, readers=self.ocr_version, sums=self.weights.combined_checksum,
            plan_again=None if exact else partial(_replan, inputs, self._upstreams, self.surface),
        )  # fmt: skip

    def ocr_version(self) -> str:
        """Return the version of text recognition on this machine, which is part of the cache key of its results."""
        from intermodal.local.embedded.tesseract import ocr_version

        return ocr_version(self.weights)

    async def question_needs(self, question: str, kinds: Collection[Kind] = PICTURES) -> QuestionFacts | None:
        """Estimate which media a question needs, without a request; None if no sentence model is installed."""
        return await self._questions.needs(question, kinds)

    def known_question_needs(self, question: str, kinds: Collection[Kind] = PICTURES) -> QuestionFacts | None:
        """Return an earlier result of ``question_needs``; None if there is none."""
        return self._questions.cached_facts(question, kinds)

    @property
    def machine_now(self) -> Machine:
        """A snapshot of the machine now, including the endpoints whose models are loaded."""
        return self._machine(self._runtimes.loaded_endpoints() if self._runtimes is not None else ())

    def _machine(self, loaded: tuple[str, ...]) -> Machine:
        """Return a snapshot of the machine now. ``loaded``: endpoints whose models this client has in memory."""
        from intermodal.local.servers.server_rows import snapshot_with_servers

        return snapshot_with_servers(self.env, loaded)

    @property
    def catalog(self) -> Catalog:
        """Every known endpoint: shipped rows, the user's rows, installed and pulled models."""
        return self._catalog(())

    def catalog_with(self, hosts: tuple[str, ...], model_names: tuple[str, ...] = ()) -> Catalog:
        """Return the catalog with consent for ``hosts`` as well, and with the models in ``model_names``."""
        return self._catalog(hosts, model_names)

    def _catalog(self, hosts: tuple[str, ...], model_names: tuple[str, ...] = ()) -> Catalog:
        """Return the catalog with consent for ``hosts`` as well, and with the models in ``model_names``."""
        return self._apply_lessons(self._with_named(self._catalog_of_hosts(hosts), hosts, model_names))

    def _catalog_of_hosts(self, hosts: tuple[str, ...]) -> Catalog:
        """Return the catalog with consent for ``hosts`` as well, without named models.

        Returns the same object until something changes.
        """
        weights = self.weights
        return self._known_now.catalog(
            hosts, self.config, self.known.servers, weights.complete_names(), weights.hub_rows()
        )

    def _with_named(self, catalog: Catalog, hosts: tuple[str, ...], model_names: tuple[str, ...]) -> Catalog:
        """Add the models in ``model_names`` that exist only in the snapshot to the catalog."""
        return with_named_models(catalog, model_names, hosts=hosts, env=self.env, own_snapshot=snapshot_file(self.env))

    def _apply_lessons(self, catalog: Catalog) -> Catalog:
        """Return the catalog with everything that was learned about its endpoints."""
        found = self.known.apply_lessons(catalog)
        if "_upstreams" in self.__dict__:  # a client that called nothing learned nothing
            found = self._upstreams.apply_lessons(found)
        if found != self._last_catalog:  # an equal catalog is not replaced: the planner caches its index on the object
            self._last_catalog = found
        return self._last_catalog

    def with_refusals(self, facts: Facts) -> Facts:
        """Add to the facts which endpoints have refused this kind of request."""
        return self._upstreams.with_refusals(facts)

    async def aclose(self) -> None:
        """Stop every child process and close every connection."""
        import anyio
        import anyio.to_thread

        with anyio.CancelScope(shield=True):
            if self._store is not None and self._transport is not None:
                from intermodal.executor.background_stream import cancel_tasks_of

                await cancel_tasks_of(self._store)
            if self._runtimes is not None:
                await self._runtimes.close()
            if "_questions" in self.__dict__:
                await self._questions.close()
            if self._media is not None:
                await self._media.close()
            if self._transport is not None:
                await self._transport.aclose()
            if (telemetry := self.__dict__.pop("telemetry", None)) is not None:
                await anyio.to_thread.run_sync(telemetry.close, _EXPORT_SECONDS)
        if self._store is not None:
            self._store.close()
        self._runtimes = self._media = self._transport = self._store = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
