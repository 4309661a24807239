"""The node's composition root: the only place that knows every room, plugs in routes and registers job handlers.

``serving`` starts the processes and answers the command line; ``rooms`` furnishes one process with its services;
``handlers`` says which room does which job.  Nothing imports this package but the command line and the migrations.
"""

from racoon.node.app.serving import audit_verify, enrol, import_accounts, serve

__all__ = ["audit_verify", "enrol", "import_accounts", "serve"]
