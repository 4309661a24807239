"""House rules for imports that import-linter has no built-in contract for."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class PrivateModules(Contract):
    """A module whose name starts with one underscore is imported only from its own folder."""

    type_name = "private"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the port's signature
        """Collect every import of a private module from outside the folder that owns it."""
        broken: list[tuple[str, str]] = []
        for module in sorted(graph.modules):
            parts = module.split(".")
            if parts[0] != "racoon":
                continue  # other people's private modules are their own business
            for position, part in enumerate(parts):
                if part.startswith("_") and not part.startswith("__"):
                    owner = ".".join(parts[:position])
                    broken += [
                        (importer, module)
                        for importer in sorted(graph.find_modules_that_directly_import(module))
                        if importer != owner and not importer.startswith(owner + ".")
                    ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name importer and imported module, one line each."""
        for importer, module in check.metadata["broken"]:
            output.print_error(f"{importer} imports {module}, which is private to its folder")
