"""The node's composition root: the only place that knows every room, plugs in routes and registers job handlers.

``administration`` answers the command line; ``serving`` starts the processes; ``pages`` and ``background`` are two
of them; ``rooms`` furnishes one process with its services; ``handlers`` says which room does which job.  Nothing
imports this package but the command line and the migrations; importing the package alone loads nothing.
"""
