"""Federated training runs as CENTRAL sees them: quorum, resume, and an honest account of who was missing
when.

``model`` decides (pure), ``service`` drives the engine behind ``racoon.learning.engine`` and keeps the run
folder. No torch, no image, no case ever comes here: weights as safetensors and a few numbers per site and
round. Not here: which study may train what (``studies``), messages to sites (``orchestration``).
"""
