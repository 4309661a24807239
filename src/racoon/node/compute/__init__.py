"""Training and evaluation at the site: prepared cases, training processes, and this site's seat in the
federated engine.

``service`` prepares cases from archive and frozen dataset and runs torch in child processes; ``worker`` holds
the handlers of ``train.local``, ``evaluate`` and ``train.federated``; results go to ``release``, never
straight out. Not here: network architectures and the training loop (``racoon.learning``), what may leave
(``release``).
"""
