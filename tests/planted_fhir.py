"""FHIR resources with an identifier in every element of every type, made from an independent model of R4.

No list is written here: elements come from ``fhir.resources`` (R4B), so that a field nobody thought of is planted too.
Of a choice of types every type is there at once, which no real server sends and a reader has to survive.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

NAME, NUMBER, DAY = "Zacharias", "8675309", "1901-02-03"
LEAKS = ("LEAK", NAME, NUMBER, DAY)

_COMPLEX = re.compile(r"abc\.(\w+)Type")
_PRIMITIVE = re.compile(r"\.(\w+)\(|(\w+)\(\)")

PUBLIC_SYSTEM = "http://loinc.org"
PUBLIC_EXTENSION = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
DEEPEST = 7


class Planter:
    """Makes resources.

    Parameters
    ----------
    is_disguised
        Whether systems and addresses of extensions are public ones, so that only what stands beside them gives an
        identifier away; otherwise they are planted too.
    """

    def __init__(self, *, is_disguised: bool) -> None:
        self._is_disguised = is_disguised
        self.planted = 0

    def resource(self, kind: str, identity: str, patient: str) -> dict[str, Any]:
        """Return one resource of a type that is about a patient, where the type is about one."""
        made = self._object(kind, (kind,))
        made |= {"resourceType": kind, "id": identity}
        for name in ("subject", "patient", "individual"):
            if name in made:
                one = {"reference": f"Patient/{patient}", "display": self._text()}
                made[name] = [one] if isinstance(made[name], list) else one
        return made

    def _object(self, kind: str, above: tuple[str, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, annotation in elements(kind):
            value = self._value(name, annotation, kind, above)
            if value is not None:
                made[name] = [value] if "List" in annotation else value
        return made

    def _value(self, name: str, annotation: str, kind: str, above: tuple[str, ...]) -> Any:
        if name == "contained":
            return {"resourceType": "Patient", "name": [{"family": self._text()}], "id": self._text()}
        inner = _COMPLEX.search(annotation)
        if inner is not None and inner[1] == "FHIRPrimitiveExtension":
            return {"id": self._text(), "extension": [self._extension()]}
        if inner is not None and inner[1] == "Extension":
            return self._extension()
        if inner is not None:
            if inner[1] in above[1:] or len(above) >= DEEPEST or inner[1] in ("Resource", "Element"):
                return None
            return self._object(inner[1], (*above, inner[1]))
        return self._primitive(name, annotation, kind)

    def _primitive(self, name: str, annotation: str, kind: str) -> Any:
        if "datetime" in annotation or "date" in annotation.lower().replace("update", ""):
            return f"{DAY}T10:00:00Z" if "datetime" in annotation and "date," not in annotation else DAY
        if "bool" in annotation:
            return True
        if "int" in annotation or "Decimal" in annotation:
            return 1
        if "time" in annotation:
            return "10:00:00"
        if self._is_disguised and name in ("system", "url", "profile"):
            return PUBLIC_SYSTEM if name == "system" else PUBLIC_EXTENSION
        if name == "reference":
            self.planted += 1
            return f"Practitioner/LEAK{self.planted}-{NUMBER}" if self._is_disguised else self._text()
        return self._text()

    def _extension(self) -> dict[str, Any]:
        url = PUBLIC_EXTENSION if self._is_disguised else self._text().replace(" ", "")
        return {
            "url": url,
            "valueString": self._text(),
            "valueCode": self._text(),
            "valueReference": {"reference": self._text(), "display": self._text()},
            "valueHumanName": {"family": self._text(), "text": self._text()},
            "valueDate": DAY,
        }

    def _text(self) -> str:
        self.planted += 1
        return f"LEAK{self.planted:06d} {NAME} {NUMBER}"


def elements(kind: str) -> Iterator[tuple[str, str]]:
    """Yield every element of a type with its annotation, as the independent model has them."""
    package = importlib.import_module("fhir.resources.R4B")
    model = package.get_fhir_model_class(kind)
    for name, found in model.model_fields.items():
        alias = found.alias or name
        if alias not in ("fhir_comments", "resource_type", "resourceType", "id"):
            yield alias, str(found.annotation)
