"""What holds before any command runs: an install without torch, and completion by the shell."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from lensctl.cli.command import app
from lensctl.cli.main import COMMANDS, NETWORK_PACKAGES, main
from lensctl.io.storage import s3
from lensctl.io.tables.files import read_table, write_table
from tests.toys import catalogs as toys
from tests.toys.pixels import images, make_store

BIN = Path(sys.executable).parent
WITHOUT_TORCH = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(NETWORK_PACKAGES)}))
from lensctl.cli.main import run
run()
"""
NEED_TORCH = {
    "train": "manifest.parquet run",
    "score": "run manifest.parquet scores.parquet",
    "freeze": "run frozen --evaluation evaluation --gates gates.jsonl",
    "verify": "frozen",
}


@pytest.fixture
def light(tmp_path):
    """Run a command line in a process in which torch cannot be imported."""

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", WITHOUT_TORCH, *map(str, args)]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_without_torch_every_command_has_its_help(light, name):
    done = light(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example: lensctl" in done.stdout


@pytest.mark.parametrize("name", NEED_TORCH)
def test_without_torch_a_command_that_needs_it_says_so_in_a_sentence(light, name, tmp_path):
    done = light(name, *NEED_TORCH[name].split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: `lensctl {name}` needs torch and torchvision, which are not installed",
        "  fix: pip install lensctl with its dependencies (docs/howto/without-torch.md)",
    ]
    assert list(tmp_path.iterdir()) == []


def test_without_torch_a_pool_is_sampled_and_judged(light, tmp_path):
    write_table(toys.pool(2000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(9), str(tmp_path / "positives.parquet"))
    done = light("sample", "pool.parquet", "n.parquet", "--positives", "positives.parquet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == read_table(str(tmp_path / "n.parquet")).num_rows > 0
    gate = light("gate", "pool", "pool.parquet")
    assert gate.returncode in (0, 1), gate.stderr
    assert all(json.loads(line)["gate"] == "pool" for line in gate.stdout.splitlines())


def test_another_module_that_is_missing_is_a_bug(tmp_path):
    code = WITHOUT_TORCH.replace("run()", "sys.modules['pyarrow'] = None; run()")
    line = [sys.executable, "-c", code, "sample", "a.parquet", "b.parquet", "--positives", "c.parquet"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def bash(script: str, home: Path) -> str:
    """What a script prints in a bash that reads no settings but those in `home`."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home)}
    done = subprocess.run(["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


COMPLETED = """
COMP_WORDS=({words} "{last}")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p lensctl | sed 's/.*-F \\([^ ]*\\) .*/\\1/') lensctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "last", "offered"),
    [
        ("lensctl", "sam", ["sample"]),
        ("lensctl", "s", ["sky", "sample", "sync", "score", "show"]),
        ("lensctl sample", "--neg", ["--negatives-per-positive"]),
        ("lensctl emr", "su", ["submit"]),
        ("lensctl", "", list(COMMANDS)),
    ],
)
def test_bash_completes_commands_and_options(words, last, offered, tmp_path):
    script = 'source /dev/stdin <<< "$(lensctl --show-completion bash)"' + COMPLETED.format(words=words, last=last)
    found = bash(script, tmp_path).split()
    assert [word for word in found if word in offered] == offered
    assert all(word.startswith(last) for word in found)


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path):
    assert "bash completion installed" in bash("lensctl --install-completion bash", tmp_path)
    script = 'source "$HOME/.bashrc"' + COMPLETED.format(words="lensctl", last="sam")
    assert bash(script, tmp_path).split() == ["sample"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell", "pwsh"])
def test_other_shells_have_a_script_too(lensctl, shell):
    done = lensctl("--show-completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lensctl" in done.stdout


def test_an_unknown_shell_is_a_sentence(lensctl):
    done = lensctl("--show-completion", "cmd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Invalid value for '--show-completion'")


@pytest.mark.parametrize(
    "line",
    [
        "cutout t.parquet a.zarr --max-failed nan",
        "cutout t.parquet a.zarr --timeout nan",
        "cutout t.parquet a.zarr --rate nan",
        "cutout t.parquet a.zarr --pixscale nan",
        "crossmatch l.csv t.fits o.parquet --radius-arcsec nan",
        "sample p.parquet o.parquet --positives t.parquet --n1-n2-ratio nan 0.2",
        "doctor --seconds nan",
        "evaluate s.parquet out --prevalence nan",
        "train m.parquet run --lr nan",
        "sample p.parquet o.parquet --positives t.parquet --exclude-arcsec inf",
    ],
)
def test_no_option_is_nan_or_infinite_whatever_its_limits(line, capsys):
    assert main(line.split()) == 2
    option = next(word for word in reversed(line.split()) if word.startswith("--"))
    assert re.match(rf"error: (Invalid value for ')?{option}'?:? ", capsys.readouterr().err)


@pytest.mark.parametrize("value", ["nan", "inf", "x"])
def test_a_criterion_or_rate_is_a_number(value, capsys):
    assert main(["pool", "s.fits", "o.parquet", "--lenses", "l.csv", "--max-mag", f"r={value}"]) == 2
    assert "is not BAND=NUMBER" in capsys.readouterr().err
    assert main(["sync", "a", "b", "--bwlimit", "9" * 400]) == 2
    assert "is not a rate" in capsys.readouterr().err


def test_too_little_memory_is_a_sentence(monkeypatch, capsys):
    def fill(*args, **options):
        raise MemoryError

    monkeypatch.setattr("lensctl.doctor.doctor", fill)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == (
        "error: there is not enough memory\n  fix: use a machine with more, or a smaller input\n"
    )


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (["crossmatch", "a.csv", "b.fits", "o.parquet", "--name-contains", ""], False),
        (["show", "a.parquet", "--montage", "m.png", "--label", ""], False),
        (["show", ""], True),
        (["show", "a.parquet", "--montage", ""], True),
        (["show", "a.parquet", "--montage="], True),
        (["show", "a.parquet", "--montage", "m.png", "--label="], False),
        (["crossmatch", "", "b.fits", "o.parquet", "--name-contains", ""], True),
    ],
)
def test_an_empty_word_is_taken_by_the_options_that_say_so(line, refused, capsys):
    assert main(line) == 2  # none of these files is there
    assert ("an argument is empty" in capsys.readouterr().err) == refused


NAMED = {  # a command line with one path, @, of each
    "sky": "sky @",
    "crossmatch": "crossmatch @ t.fits o.parquet",
    "pool": "pool sweep.fits o.parquet --lenses @",
    "sample": "sample @ o.parquet --positives p.parquet",
    "cutout": "cutout t.parquet o.zarr --npz @",
    "inject": "inject @ h.zarr o.zarr",
    "pack": "pack @ o.zarr",
    "export": "export s.zarr @",
    "sync": "sync @ mirror",
    "manifest": "manifest m.parquet --positives p.parquet @ --negatives n.parquet n.zarr",
    "gate": "gate weights @",
    "train": "train m.parquet run --root @",
    "score": "score run @ scores.parquet",
    "evaluate": "evaluate s.parquet @",
    "freeze": "freeze run frozen --evaluation @ --gates g.jsonl",
    "verify": "verify frozen --key @",
    "hosts": "hosts @ o.parquet --lenses lenses.csv",
    "search": "search frozen @ found --root sky",
    "selection": "selection observe @ s.zarr o.parquet",
    "emr": "emr submit --staging s3://b/s -- sample @ o.parquet",
    "show": "show @",
    "doctor": "doctor --config @",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_path_that_is_not_utf8_is_refused_by_every_command(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([os.fsdecode(word.replace("@", "caf\xe9.p").encode("latin-1")) for word in NAMED[name].split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: 'caf\\xe9.p' is not UTF-8\n  fix: rename it: names are UTF-8 here\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["show f", "show f/*.parquet", "sample f o.parquet --positives p.parquet",
                                  "pack npz o.zarr", "show npz", "sync f mirror"])  # fmt: skip
def test_a_name_found_in_a_folder_that_is_not_utf8_is_refused(line, tmp_path, monkeypatch, capsys):
    name = os.fsdecode(b"caf\xe9")
    write_table(toys.pool(20), str(tmp_path / "p.parquet"))
    for file in (f"f/{name}/a.parquet", f"f/{name}.parquet", f"npz/{name}.npz"):
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).write_bytes((tmp_path / "p.parquet").read_bytes())
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 2)
    assert re.match(r"error: .*caf\\(xe9|udce9)\S*' is not UTF-8", err), err
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_in_a_folder_that_is_not_utf8_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "utf8").mkdir()
    make_store(tmp_path / "utf8/a.zarr", images(3))
    folder = (tmp_path / "utf8").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    monkeypatch.chdir(folder)
    assert main(["export", "a.zarr", "npz", "--workers", "1"]) == 2
    assert re.match(r"error: '.*/caf\\xe9/a.zarr/images' is not UTF-8\n", capsys.readouterr().err)
    assert not (folder / "npz").exists()


@pytest.mark.parametrize("url", ["s3://", "s3a://", "s3:///a.p"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_address_on_s3_without_a_bucket_is_refused_by_every_command(name, url, tmp_path, monkeypatch, capsys):
    for fact, value in {"REGION": "here", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{fact}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3.account.cache_clear()
    monkeypatch.chdir(tmp_path)
    assert main(NAMED[name].replace("@", url).split()) == 2
    s3.account.cache_clear()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match("error: .*\n  fix: .*\n", err), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["sky s3://b/x", "export a.zarr s3://b/x"])
def test_an_output_that_is_made_on_disk_is_not_on_s3(line, tmp_path, monkeypatch, capsys):
    make_store(tmp_path / "a.zarr", images(3))
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert (
        "this output is made on local disk\n  fix: write it locally, then `lensctl sync` it" in capsys.readouterr().err
    )


TO_TABLES = {
    "crossmatch": "lenses.csv sweep.fits @",
    "pool": "sweep.fits @ --lenses lenses.csv",
    "sample": "pool.parquet @ --positives p.parquet",
    "manifest": "@ --positives p.parquet p.zarr --negatives n.parquet n.zarr",
    "score": "run m.parquet @",
    "hosts": "pool.parquet @ --lenses lenses.csv",
}
"""Of each command that writes a table, a line whose inputs are missing."""


def test_every_command_that_writes_a_table_has_a_line():
    for name in COMMANDS:
        importlib.import_module(f"lensctl.cli.{name}")
    commands = typer.main.get_command(app).commands.items()
    assert {n for n, command in commands if {"format", "output"} <= {p.name for p in command.params}} == set(TO_TABLES)


@pytest.mark.parametrize("output", ["o.ecsv", "o.tsv", "o.csv.gz", "o.fits.fz", "o.txt"])
@pytest.mark.parametrize("name", TO_TABLES)
def test_a_table_that_could_not_be_written_is_refused_before_anything_is_read(
    name, output, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([name, *TO_TABLES[name].replace("@", output).split()]) == 2
    assert re.match(
        f"error: {output}: (tables are not written in this form|ending .txt is none)", capsys.readouterr().err
    )
