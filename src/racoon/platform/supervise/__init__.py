"""One process tree per role: a supervisor that forks the role's processes, watches and restarts them.

The supervisor imports everything once and then forks, so that the children share its memory. It has no
threads, no open database connection and no work of its own. Children die with it, whatever kills it; a child
that dies is started again with a growing pause; a child that says its configuration is wrong stops the whole
tree.
"""

from racoon.platform.supervise.inside import die_with_parent, mark_ready, stopping
from racoon.platform.supervise.supervisor import Supervisor
from racoon.platform.supervise.tree import AlreadyRunning, NotReady, read_pids, wait_until_ready

__all__ = [
    "AlreadyRunning",
    "NotReady",
    "Supervisor",
    "die_with_parent",
    "mark_ready",
    "read_pids",
    "stopping",
    "wait_until_ready",
]
