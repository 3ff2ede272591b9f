"""`bgs names`: gives the labels of a run names that say what they are. Names that people gave stay."""

from pathlib import Path

from bgs_engine.core.label_table import LabelTable, is_automatic, write_labels
from bgs_engine.core.printable import printable
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.run_folder import open_run
from bgs_engine.io.run_update import finish_update
from bgs_engine.naming.name_table import name_table
from bgs_engine.output.run_up import run_up


def name_run(folder: Path) -> tuple[LabelTable, int]:
    """Write automatic names into the label table of a run. Returns the table and how many names are new.

    Raises:
        UsageError: another job writes there.
        InputError: the run is damaged.
        OutputError: the folder cannot be written. The run is as it was.
    """
    with only_writer(folder):
        finish_update(folder)
        run = open_run(folder)
        table, splat = run.checked_labels(), load_gaussians(run.ply)
        columns = (splat.means, splat.scales, splat.opacities, splat.base_colors)
        changed = name_table(table, run.codes, columns, run_up(run, splat))
        write_labels(folder / "labels.json", table)
    return table, changed


def as_text(table: LabelTable) -> str:
    """All labels, one a line: level, number, Gaussians, whose name it is, name."""
    lines = [f"{'level':>5} {'label':>10} {'Gaussians':>10}  {'named by':<9} name"]
    for level, rows in enumerate(table.levels, 1):
        for row in rows:
            who = "engine" if is_automatic(row.name, row.automatic) else "a person"
            lines.append(f"{level:>5} {row.label:>10} {row.count:>10,}  {who:<9} {printable(row.name)}")
    return "\n".join(lines)
