"""Handlers of the routes, one module for each kind of request.

chat.py         chats in every client API
media.py        embeddings, speech, transcriptions and images; token_ids.py: texts sent as token ids
rerank.py       documents in the order in which they answer a query
models.py       lists of models; plans.py: plans, explained or kept; prompts.py: prompt files
monitoring.py   liveness, readiness and metrics
"""
