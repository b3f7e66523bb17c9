"""Runs a plan: one route after another, each step's calls with their retries, until an answer is whole.

``run.py`` drives a plan's routes and ``route_run.py`` one of them: prepare a step, attempt its call, check what it
made, replan where that is called for, settle what it cost. ``replan.py`` plans the rest of a run anew. ``run_state.py``
holds what the routes of a run share, ``dependencies.py`` what a run is handed: catalog, media, store, network, clock.

preparation/    from the parts of a request to the inputs of a call, and the last checks before it is sent
attempt/        one call: retries, circuit breaker, ledger, accounting, and how an answer is judged while it streams
drivers/        how a call is made in each protocol, over HTTP or by a runtime of this machine
conversion/     steps before the answer: transcripts, text of pictures and pages, their cache keys and checks
outputs/        the last call of a route, by kind of output: text and JSON, speech, images, scores, translations

No planning and no wire format here: plans come from ``planner``, requests are encoded by ``wire``.
"""
