"""NVIDIA FLARE 2.9 behind the engine port: keys, kits, policies, jobs and both sides' processes.

Everything RACOON knows about FLARE is in this folder; no other room names it.  ``server_side`` and
``site_side`` are loaded by FLARE's own processes only; the rest starts those processes and talks to them.
No torch anywhere here: a site's rounds run in ``racoon.learning.train_process``.
Traps that were measured are told where the code avoids them and in ``docs/explanation/federated-engine.md``.
"""
