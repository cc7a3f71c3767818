"""The folder of a selection function, as `selection fit` writes it: facts, and tables that these name by digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.provenance import digests
from lensctl.io.tables.files import read_table
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

FACTS, TABLES = "selection.json", "tables"
MAKE_AGAIN = "make the folder again with `lensctl selection fit`"


@dataclass(frozen=True)
class SelectionFolder:
    """A selection function on disk.

    Attributes
    ----------
    path : Path
    where : str
        Its name in messages.
    data : bytes
        Of selection.json.
    facts : dict
    digest : str
        Of selection.json, which has those of the tables; gates and `attach` know the folder by it.
    """

    path: Path
    where: str
    data: bytes = field(repr=False)
    facts: dict[str, Any] = field(repr=False)

    @property
    def digest(self) -> str:
        """See the class."""
        return digests.of_bytes(self.data)

    @property
    def exploratory(self) -> bool:
        """Whether a threshold was chosen after the model was frozen; InputError where that is not told."""
        told = self.facts.get("exploratory")
        if not isinstance(told, bool):
            raise self.no_selection_function()
        return told

    @property
    def thresholds(self) -> dict[str, float]:
        """The logit of each threshold by name; InputError where there are none."""
        try:
            return {str(point["name"]): float(point["logit"]) for point in self.facts["thresholds"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self.no_selection_function() from error

    @property
    def tables(self) -> dict[str, str]:
        """The digest of each table by name; InputError where there are none."""
        try:
            return {str(name): str(about["digest"]) for name, about in self.facts["tables"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise self.no_selection_function() from error

    @property
    def files(self) -> dict[str, str]:
        """The digest of each file that is no table, by its path in the folder; InputError where they are not told."""
        try:
            return {str(name): str(digest) for name, digest in self.facts["files"].items()}
        except (KeyError, AttributeError) as error:
            raise self.no_selection_function() from error

    def table(self, name: str) -> pa.Table:
        """A table; InputError where it is missing, cannot be read, or is not the one that was fitted."""
        path, about = self.path / TABLES / f"{name}.parquet", f"{self.where}/{TABLES}/{name}.parquet"
        wanted = self.tables.get(name)
        if wanted is None:
            raise InputError(f"{self.where}/{FACTS}: names no table '{name}'", MAKE_AGAIN)
        if not path.is_file():
            raise InputError(f"{about}: no such file", MAKE_AGAIN)
        try:
            table = read_table(str(path), allow_empty=True)
        except InputError as error:
            raise InputError(str(error).replace(str(path), about), MAKE_AGAIN) from error
        if digests.of_table(table) != wanted:
            raise InputError(f"{about}: was changed since the fit", MAKE_AGAIN)
        return table

    def no_selection_function(self) -> InputError:
        """The error for a selection.json that has not what it should."""
        return InputError(f"{self.where}/{FACTS}: is no selection function", MAKE_AGAIN)


def read_selection(folder: str | Path, where: str = "") -> SelectionFolder:
    """Read selection.json of a folder; InputError where there is none.

    Parameters
    ----------
    where : str
        Name of the folder in messages; default as given.
    """
    where = where or str(folder)
    path = Path(folder) / FACTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{where}/{FACTS}: cannot be read ({error.strerror})", "name a folder of `lensctl selection fit`"
        ) from error
    return of_bytes(data, Path(folder), where)


def of_bytes(data: bytes, folder: Path, where: str) -> SelectionFolder:
    """A selection function from the bytes of its selection.json; InputError where they are none."""
    try:
        facts = json_value(data)
    except ValueError:
        facts = None
    found = SelectionFolder(folder, where, data, facts if isinstance(facts, dict) else {})
    if not found.facts:
        raise found.no_selection_function()
    return found


def changed(found: SelectionFolder) -> list[str]:
    """Files that are missing, or are not those that `selection fit` wrote, with what else lies among them."""
    names, files = found.tables, found.files
    lost = []
    for name in names:
        try:
            found.table(name)
        except InputError:
            lost.append(f"{TABLES}/{name}.parquet")
    lost += [f"{TABLES}/{path.name}" for path in (found.path / TABLES).glob("*.parquet") if path.stem not in names]
    there = set(other_files(found.path))
    lost += [name for name in there & set(files) if digests.of_file(found.path / name) != files[name]]
    return sorted([*lost, *(there ^ set(files))])


def other_files(folder: Path) -> list[str]:
    """Files of a selection function but for selection.json and the tables that it names, by their paths, in order."""
    inside = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    tables = {path for path in inside if path.parent.name == TABLES and path.suffix == ".parquet"}
    return sorted(path.as_posix() for path in inside if path not in tables and path.name != FACTS)
