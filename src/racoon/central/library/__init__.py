"""The network's library of models: packages promoted from studies, approved by a second person, and withdrawn.

Keeps each package as the file it came as and its card as evidence; a node asks which packages are approved and fetches
one by its hash.  It runs nothing and trusts nothing: a package is opened by the rules of ``racoon.learning.packages``.
Not here: training (``learning``), what a study found (``results``), and whether a site runs a model (the site).
"""
