"""Brain: shares of volume, lesion load, cortical thickness.

A file holds one definition, under its id.
Not here: tables of FreeSurfer and FastSurfer, which ``standards`` reads.
"""
