"""Runs a plan: one route after another, each step's calls with their retries, until an answer is complete.

``run.py`` drives a plan's routes and ``route_run.py`` one of them: prepare a step, attempt its call, check the result,
replan if necessary, settle the cost. ``replan.py`` plans the rest of a run again. ``run_state.py`` holds the state that
the routes of a run share, ``dependencies.py`` the services of a run: catalog, media, store, network, clock. ``api.py``
is the interface for other packages.

attempt/        one call: retries, circuit breaker, ledger, accounting, and limits learned from calls
conversion/     steps before the answer: transcripts, text of images and pages, their cache keys and checks
direct/         plans of one call whose client speaks the API of the host: bytes in, bytes out
drivers/        how a call is made in each protocol, over HTTP or by a runtime of this machine
outputs/        the last call of a route, by kind of output: text and JSON, speech, images, scores, translations
preparation/    from the parts of a request to the inputs of a call, and the preflight checks before it is sent

This package contains no planning and no wire format: plans come from ``planner``, requests are encoded by
``protocols``.
"""
