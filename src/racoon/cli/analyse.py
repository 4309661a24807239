"""``racoon analyse``: a plan over local tables, federated with every rule of release and pooled, side by side."""

from __future__ import annotations

from pathlib import Path

from racoon.cli.output import JsonFlag, print_json, print_line, print_table


def analyse(
    plan: Path,
    *,
    table: Path,
    site_column: str = "site",
    output: Path = Path("analysis"),
    json: JsonFlag = False,
) -> None:
    """Run an analysis plan over a table with the rows of all sites.

    The rows of each site stay behind the site's gate; what it releases is added and estimated. The pooled fit on all
    rows stands beside it, so that one sees what federation and disclosure control change before a study asks sites.

    Parameters
    ----------
    plan
        Analysis plan: YAML, TOML or JSON.
    table
        CSV with one row per subject and a header.
    site_column
        Column with the site of each row.
    output
        Folder for tables (CSV), figures (SVG) and results.json.
    json
        Print one JSON document.
    """
    from racoon.node.analysing.rehearsal import rehearse, write_results
    from racoon.node.analysing.tables import read_plan, read_sites

    found = rehearse(read_plan(plan), read_sites(table, site_column))
    files = write_results(found, output)
    if json:
        print_json({**found.to_dict(), "files": [str(path) for path in files]})
        return
    pairs = zip(found.federated.tables, found.pooled.tables, strict=True)
    for federated, pooled in pairs:
        title = f"{federated.title} ({federated.subgroup})" if federated.subgroup else federated.title
        rows = [
            {
                "run": name,
                **{
                    column: "" if cell is None else cell
                    for column, cell in zip(result.columns, row, strict=True)
                },
            }
            for name, result in (("federated", federated), ("pooled", pooled))
            for row in result.rows
        ]
        if rows:
            print_table(title, rows)
        for note in federated.notes:
            print_line(f"[dim]{title}: {note}[/]")
        if federated.title in found.grid and not federated.subgroup:
            print_line(f"[dim]{title}: {found.grid[federated.title]}[/]")
        for site, reason in federated.withheld:
            print_line(f"[yellow]{site}: {reason}[/]")
    print_line(f"{len(files)} files in {output}")
