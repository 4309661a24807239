"""Size, shape and density of any structure.

A file holds one definition, under its id.
Not here: tissues by HU interval (``composition``), lesions by RECIST (``lesion``).
"""
