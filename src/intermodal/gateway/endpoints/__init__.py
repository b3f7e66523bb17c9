"""Handlers of the routes, one module for each kind of request.

chat.py         chats in every client API
media.py        embeddings (of texts sent as token ids, too), speech, transcriptions and images
rerank.py       documents in the order in which they answer a query
models.py       lists of models; plans.py: plans, explained or kept; prompts.py: prompt files
monitoring.py   liveness, readiness and metrics
"""
