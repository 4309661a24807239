"""The site's own signed decisions on studies; every job asks here before anything runs.

CENTRAL can ask (``requested``), only this site can allow; each later step is taken by a person with the right role,
written with event and audit in one transaction, and signed by the node on its way out.
Not here: what leaves after a job (``release``) and who a subject is (``pseudonyms``).
"""
