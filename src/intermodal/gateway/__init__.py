"""The gateway, ``intermodal serve``: everything that can be planned, behind the APIs that clients already speak.

    http1/connection ─ server (screening) ─▶ routes ─▶ endpoints/ ─▶ AsyncClient ─▶ response_metadata ─▶ http1/

http1/            the HTTP server, which knows no route
server.py         the gateway itself: listens, screens, answers, stops; server_client.py: its long-lived client
routes.py         the route table; client_apis.py: the codec that speaks behind a route
endpoints/        handlers of the routes; openapi/: their description
requests/         what a request may say: limits, policies, prompt files
state/            what is kept between requests: conversations, plans, items
quotas/           virtual keys, budgets, rate limits, idempotency; billing.py: a run against them
workers/          several processes behind one address; process/: one process
metrics.py        counters for Prometheus; response_metadata.py: what an answer says of how it came about
failures.py       stable codes and log places of errors; config_check.py: ``serve --check``
lane/             chats that are passed on to one host without a run
"""
