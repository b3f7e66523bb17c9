"""Search: finds images by words or by an image (``find``), and ranks passages for a query (``rerank``).

``find`` runs on this machine, ``rerank`` on this machine or at a host.

image_search.py     the index of images, and the nearest to a query
passage_ranking.py  passages of texts and files, pages of long documents, ranked by an encoder, vectors or a host
ready_models.py     the models that can do either, and are ready
"""
