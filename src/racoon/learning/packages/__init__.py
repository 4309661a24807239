"""Model packages: a trained network as data that a stranger can check before using it.

One uncompressed ZIP with a signed card, safetensors weights and a golden input with its output; its name is the
SHA-256 of its card.  Nothing in it is code: pickle and TorchScript are refused by content, whatever they are called.
Reading never unpacks to disk.  Not here: running a model (``racoon.learning.inference``).
"""

from racoon.learning.packages.card import Card, PackageRefused
from racoon.learning.packages.container import ModelPackage, open_package, write_package

__all__ = ["Card", "ModelPackage", "PackageRefused", "open_package", "write_package"]
