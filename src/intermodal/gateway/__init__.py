"""The gateway, ``intermodal serve``: everything that can be planned, behind the APIs that clients already speak.

    http1/connection ─ server (screening) ─▶ routes ─▶ endpoints/ ─▶ runs ─▶ AsyncClient ─▶ response_metadata ─▶ http1/

http1/            the HTTP server, which knows no route
server.py         the gateway itself: listens, screens, answers, stops; server_client.py: its long-lived client
context.py        what a handler gets: client, limits, quotas, and the state that outlives a request
routes.py         the route table; http_route.py: a row of it
endpoints/        handlers of the routes; openapi/: their description; runs.py: plans a request and runs the plan
requests/         what a request may say: limits, policies, prompt files
state/            what is kept between requests: conversations, plans, items
quotas/           virtual keys, budgets, rate limits, idempotency; billing.py: a run against them
workers/          several processes behind one address; process/: one process
metrics.py        counters for Prometheus; response_metadata.py: what an answer says of how it came about
error_answers.py  errors in the format of the API that was asked; failures.py: their codes
config_check.py   ``serve --check``
direct/           chats that are passed on to one host without a run: their plans, and their clients
"""
