"""The client: from a request to an answer. Start with ``async_client.py``.

``request_builder.py`` and ``answer_schema.py`` make the request, ``planner_inputs.py`` gathers what the planner reads,
``saved_plan.py`` checks a plan that was made earlier, ``resources.py`` holds processes, connections and the store,
``sync_client.py`` is the same client for synchronous code.
Planning is in ``planner/``, execution in ``executor/``.
"""
