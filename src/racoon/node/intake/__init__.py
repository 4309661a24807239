"""DICOM in: whatever a scanner sends arrives, is durable before it is acknowledged, and is kept apart.

The listener only writes to the spool; a worker behind it de-identifies and hands over to the archive, so a
slow rule never slows a sender.  What cannot pass goes to quarantine with its reason in plain words.
It keeps no image after the archive has it and knows no names: ``deid`` does that.
Floor plan: a room of ``node``; the listener is a process of its own, the loop runs in the worker.
"""
