"""A result bundle as a research object: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), one JSON-LD file beside the rest.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
NAME = "ro-crate-metadata.json"

FORMATS: Mapping[str, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
    "png": "image/png",
    "md": "text/markdown",
    "json": "application/json",
    "yaml": "application/yaml",
}
"""Media types of what a bundle holds."""


def describe_crate(result: Mapping[str, Any], files: Mapping[str, bytes], published: str) -> dict[str, Any]:
    """Describe a bundle for machines: what each file is, from which plan and datasets it came, by which program.

    Parameters
    ----------
    result
        The kept document.
    files
        All other files of the bundle, by name.
    published
        Day of the result, as ISO 8601.

    Returns
    -------
    dict
        JSON-LD.
    """
    name, action = str(result["plan"]["name"]), f"#{result['run_id']}"
    tables = [path for path in files if path.startswith(("tables/", "figures/"))]
    datasets = [
        {
            "@id": f"#dataset-{digest}",
            "@type": "Dataset",
            "name": f"Frozen dataset of {site}",
            "identifier": f"sha256:{digest}",
            "description": "Stays at the site; only sums that its release gate passed left it.",
            "conditionsOfAccess": "At the site only.",
        }
        for site, digest in sorted(result["datasets"].items())
    ]
    graph: list[dict[str, Any]] = [
        {
            "@id": NAME,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": f"Result of the analysis {name!r} across {len(result['datasets'])} sites.",
            "datePublished": published,
            "license": {"@id": "#conditions"},
            "identifier": f"sha256:{result['result_hash']}",
            "hasPart": [{"@id": path} for path in sorted(files)],
            "mentions": {"@id": action},
        },
        {
            "@id": "#conditions",
            "@type": "CreativeWork",
            "name": "Conditions of use",
            "description": "As agreed for the study; the numbers are protected sums over several sites.",
        },
        {
            "@id": "#program",
            "@type": "SoftwareApplication",
            "name": "racoon",
            "softwareVersion": result["software"].removeprefix("racoon "),
        },
        {
            "@id": action,
            "@type": "CreateAction",
            "name": f"Analysis {result['run_id']}",
            "endTime": published,
            "instrument": {"@id": "#program"},
            "object": [{"@id": "plan.json"}, *({"@id": entry["@id"]} for entry in datasets)],
            "result": [{"@id": path} for path in sorted(tables)],
        },
        *datasets,
        *(_file(path, content) for path, content in sorted(files.items())),
    ]
    return {"@context": f"{SPECIFICATION}/context", "@graph": graph}


def _file(path: str, content: bytes) -> dict[str, Any]:
    kind = FORMATS[path.rpartition(".")[2]]
    return {
        "@id": path,
        "@type": "File",
        "name": path.rpartition("/")[2],
        "encodingFormat": kind,
        "contentSize": str(len(content)),
    }
