"""What a case of the fuzz reads, and how: a command, or a function, in a folder with copies of what it needs."""

from __future__ import annotations

import contextlib
import http.server
import os
import shlex
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.mutations import damaged

Mutate = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """A file that is damaged, and who reads it.

    Attributes
    ----------
    file : str
        What is damaged, below the folder of inputs.
    command : str, or callable
        Arguments of lensctl, run in a folder that holds copies of the inputs named in it; or a function.
    modules : tuple of str
        Modules of lensctl whose reading this reaches.
    needs : str
        More inputs to copy, beside the file and those in the command.
    mutate : callable
        Bytes and a generator to other bytes.
    before : callable, optional
        Called in the folder before the command, such as to write down the digests of what was damaged.
    """

    file: str
    command: str | Callable[[], None]
    modules: tuple[str, ...]
    needs: str = ""
    mutate: Mutate = damaged
    before: Callable[[], None] = lambda: None

    def run(self) -> int:
        """Read, in the folder with copies; returns the exit status."""
        from lensctl.cli.main import main
        from lensctl.rules.errors import LensctlError

        self.before()
        if isinstance(self.command, str):
            with _served() if "PORT" in self.command else contextlib.nullcontext(0) as port:
                return main(shlex.split(self.command.replace("PORT", str(port))))
        try:
            self.command()
        except LensctlError as error:
            print(f"error: {error}")
            return 2
        return 0

    def inputs(self) -> list[str]:
        """What to copy, relative to the folder of inputs."""
        words = [] if callable(self.command) else self.command.split()
        return list(dict.fromkeys([self.file.split("/")[0], *words, *self.needs.split()]))


class _Folder(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if "/fits-cutout" in self.path:
            self.path = "/answer.fits"
        super().do_GET()


@contextlib.contextmanager
def _served() -> Iterator[int]:
    """A server of the working folder, and its port, in this process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]


@contextlib.contextmanager
def _bucket() -> Iterator[None]:
    """The files below `bucket/` on an S3 server in this process, in a bucket named b."""
    from lensctl.io.storage import s3
    from tests.toys import fake_s3

    with fake_s3.serve() as fake:
        files = (file for file in Path("bucket").rglob("*") if file.is_file())
        fake.objects = {file.relative_to("bucket").as_posix(): file.read_bytes() for file in files}
        os.environ |= {
            "AWS_ENDPOINT_URL": fake.endpoint, "AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-2", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        s3.account.cache_clear()
        yield


def emr_record() -> None:
    from lensctl.emr.proof import read_record

    with _bucket():
        read_record("s3://b/record.json")


def emr_logs() -> None:
    from lensctl.emr.step_logs import of_step

    with _bucket():
        of_step("s3://b/logs", "s-1")


def from_s3(name: str) -> Callable[[], None]:
    def read() -> None:
        from lensctl.io.tables.files import read_table

        with _bucket():
            read_table(f"s3://b/{name}")

    return read


def selection_facts() -> None:
    """Reads what `selection apply` reads first."""
    from lensctl.frozen.selection_folder import read_selection
    from lensctl.selection.loading import facts_of

    facts_of(read_selection("."))


def uniform() -> None:
    """Reads scores of a uniform draw."""
    from lensctl.evaluate.uniform.rows import read_uniform

    read_uniform("scores.parquet", ["lenses.csv"])


def suspects() -> None:
    """Reads what hard negatives stay away from."""
    from lensctl.sample.suspects import read_suspects

    read_suspects(["lenses.csv"], ["grades.csv"], ["positives.parquet"], None)


def grades() -> None:
    """Reads grades; a whole evaluation would take half a second."""
    from lensctl.evaluate.grades import read_grades

    read_grades("grades.csv")


def thresholds_of(folder: str) -> Callable[[], None]:
    """Reads the thresholds that `evaluate --thresholds` is given."""

    def read() -> None:
        from lensctl.evaluate.given_thresholds import read_thresholds

        read_thresholds(folder)

    return read


def torch_weights() -> None:
    from lensctl.learning.networks import architectures, initial_weights

    initial_weights.initialise(architectures.build("resnet18", 0.0, 3), Path("weights.pt"))


def exported() -> None:
    from lensctl.learning.networks import exported_program

    exported_program.load(Path("program.pt2").read_bytes(), "program.pt2")


def reseal() -> None:
    """The lists of a frozen model made anew, so that only what the files say is wrong."""
    _reseal(Path("frozen"), "frozen.json")


def reseal_attachment() -> None:
    """Those of an attachment."""
    _reseal(Path("attached/out"), "attachment.json")


def _reseal(folder: Path, record: str) -> None:
    import json

    from lensctl.frozen import layout

    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        facts = json.loads((folder / record).read_bytes())
        facts["files"] = {name: layout.sha256(folder / name) for name in facts["files"]}
        _replace(folder / record, json.dumps(facts).encode())
    names = [name for name in layout.contents_of(folder).files if name != layout.SUMS]
    _replace(folder / layout.SUMS, layout.sums_of(folder, names).encode())


def _replace(file: Path, data: bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(data)


def zip_members() -> None:
    """The members of one cutout put together as an .npz, with checksums of what they are now."""
    Path("zipped").mkdir()
    with zipfile.ZipFile("zipped/one.npz", "w") as archive:
        for file in sorted(Path("one").iterdir()):
            archive.write(file, file.name)
    shutil.rmtree("one")


def note_sizes() -> None:
    """The sizes of a store's shards noted as they are now."""
    import json

    group = Path("packed.zarr/zarr.json")
    facts = json.loads(group.read_bytes())
    sizes = [file.stat().st_size for file in sorted(Path("packed.zarr/images/c").glob("*/0/0/0"))]
    facts["attributes"]["lensctl"]["shard_bytes"] = sizes
    _replace(group, json.dumps(facts).encode())
