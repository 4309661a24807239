"""What runs a network: ONNX Runtime, fast on a CPU and without torch, or torch itself; both behind one function.

A :data:`Network` takes images and returns class scores, as arrays; nothing above it knows which runtime it has.
Not here: what an image must be like (``contract``), windows over large images (``windows``), packages.
Importing this folder loads neither runtime; opening one does, so only a child process at a node ever opens one.
"""

from racoon.learning.runtimes.choosing import RUNTIMES, choose_runtime, is_available, open_network
from racoon.learning.runtimes.port import Network

__all__ = ["RUNTIMES", "Network", "choose_runtime", "is_available", "open_network"]
