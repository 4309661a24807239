"""De-identified instances: object store, index, volumes and masks, DICOMweb.

It is the one place at the node that holds images; every other room asks it by pseudonymous UID.
It is not an intake (nothing identifiable ever gets here) and it decides no right; its routes ask.
Public names: ``service.Archive``, the words in ``model``, the port ``objects.ObjectStore``.
Floor plan: a room of ``node``; uses ``platform``, ``standards`` and ``science``.
"""
