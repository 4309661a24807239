"""Fat, muscle and bone by HU interval, in the body, in a compartment, or at a vertebral level.

A file holds one definition, under its id.
Not here: density of bone (``bone``), fat of the liver (``liver``), fat around the heart (``heart``).
"""
