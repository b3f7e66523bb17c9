"""Search: pictures by words or by a picture (``find``), passages ranked for a query (``rerank``), the first on this
machine, the second here or at a host.

picture_search.py   the index of pictures, and the nearest to a query
passage_ranking.py  passages of texts and files, pages of long documents, ranked by an encoder, vectors or a host
ready_models.py     the models that can do either, and are ready
"""
