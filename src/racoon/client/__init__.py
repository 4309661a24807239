"""The Python client of both roles: HTTP only, the same routes a browser or another program uses.

``CentralClient`` speaks to the network's server, ``NodeClient`` to a hospital's; both raise the house's errors with the
public message the server gave.  Nothing here knows a table or a file of a server.
"""

from racoon.client.analysis import Table
from racoon.client.central import CentralClient
from racoon.client.connection import ServerProblem, ServerSilent
from racoon.client.node import NodeClient
from racoon.client.results import AnalysisRun, ResultFrame

__all__ = [
    "AnalysisRun",
    "CentralClient",
    "NodeClient",
    "ResultFrame",
    "ServerProblem",
    "ServerSilent",
    "Table",
]
