"""`lensctl doctor`: an answer to every question, whatever is missing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lensctl.cli.main import main
from lensctl.doctor import EXTRAS, SOFTWARE, Finding, Question, examine, once, summary, works
from lensctl.io import machine
from lensctl.io.provenance import environment
from lensctl.io.storage import s3
from lensctl.rules.errors import InputError, ServiceError


def raising(error):
    def ask():
        raise error

    return ask


def test_an_error_that_is_no_bug_is_an_answer_and_a_bug_is_not():
    asked = [
        Question("a", "fine", lambda: (True, "here"), "unneeded"),
        Question("a", "told", lambda: (None, "7")),
        Question("a", "input", raising(InputError("is not set", "set it")), "other"),
        Question("a", "disk", raising(OSError(13, "Permission denied")), "ask for rights"),
    ]
    assert examine(asked) == [
        Finding("a", "fine", True, "here"),
        Finding("a", "told", None, "7"),
        Finding("a", "input", False, "is not set", "set it"),
        Finding("a", "disk", False, "Permission denied", "ask for rights"),
    ]
    with pytest.raises(ZeroDivisionError):
        examine([Question("a", "bug", raising(ZeroDivisionError()))])


def test_questions_that_wait_do_so_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)

    def meet():
        meeting.wait()
        return True, "met"

    assert all(finding.ok for finding in examine([Question("a", str(i), meet) for i in range(3)]))


def test_what_several_want_to_know_is_asked_once():
    asked = []
    ask = once(lambda: asked.append(1) or len(asked))
    assert [finding.value for finding in examine([Question("a", str(i), lambda: (True, ask())) for i in range(5)])] == [
        1
    ] * 5


def test_it_works_where_all_needed_software_is_there():
    assert works([Finding(SOFTWARE, "a", True, ""), Finding(EXTRAS, "b", False, "")])
    assert not works([Finding(SOFTWARE, "a", False, "")])


def test_requirements_are_those_of_the_package():
    found = environment.requirements()
    assert {"duckdb", "torch", "torchvision", "scikit-learn"} <= set(found[""])
    assert "pyspark" in found["spark"]
    assert not set(found[""]) & set(found["test"])
    assert all(machine.version(name) for name in found[""])
    assert machine.version("no-package-of-this-name") is None


def test_a_torch_that_does_not_import_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr(machine, "_TORCH", "raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(InputError, match="torchvision::nms"):
        machine.torch_pair()


def test_torch_is_imported_elsewhere(monkeypatch):
    text = '{"torch": "2", "torchvision": "0.2", "gpus": [["H200", 100]], "mps": false}'
    monkeypatch.setattr(machine, "_TORCH", f"print('noise'); print('{text}')")
    assert machine.torch_pair() == machine.Torch("2", "0.2", (("H200", 100),), False)


def test_memory_and_disk_are_plausible(tmp_path):
    total, free = machine.memory_bytes()
    assert total > 1 << 28
    assert free is None or 0 < free <= total
    assert machine.free_bytes(tmp_path) > 0


@pytest.fixture
def service():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_answers_or_does_not(service):
    assert machine.answers(f"{service}/viewer") == 200
    assert machine.answers(f"{service}/missing") == 404
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceError, match="no response"):
            machine.answers(f"http://127.0.0.1:{taken.getsockname()[1]}")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(ServiceError, match="no response"):
            machine.answers(f"http://127.0.0.1:{deaf.getsockname()[1]}", 0.2)
    with pytest.raises(InputError, match="not the address of a web server"):
        machine.answers("file:///etc/passwd")


def test_s3_answers_or_says_why_not(bucket):
    s3.answers(bucket)
    assert s3.setting().region == "us-east-1"
    with pytest.raises(InputError, match="no such bucket"):
        s3.answers("no-bucket-of-this-name")


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    return {**kept, **nowhere, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, **more}


def test_offline_and_without_aws_every_answer_is_there_and_the_exit_status_is_0(lensctl):
    done = lensctl("doctor", "--url", "http://127.0.0.1:9", "--bucket", "somewhere", env=clean_environment())
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    found = {finding["name"]: finding for finding in said["findings"]}
    assert said["works"] is True
    assert found["torch and torchvision import"]["ok"] is True
    assert found["AWS region"]["ok"] is found["AWS credentials"]["ok"] is found["S3 within reach"]["ok"] is False
    assert found["cutout service"]["ok"] is False
    assert "GiB free" in found["disk"]["value"]
    assert "AWS_REGION" in found["AWS region"]["fix"]
    assert "This machine" in done.stderr


def test_secrets_are_not_shown_and_what_is_there_is_found(service, s3_server, bucket, monkeypatch, capsys):
    monkeypatch.setattr(machine, "torch_pair", lambda: machine.Torch("2", "0.2", (("H200", 143 << 30),), False))
    assert main(["doctor", "--url", service, "--bucket", f"s3://{bucket}/"]) == 0
    said = capsys.readouterr()
    found = {finding["name"]: finding for finding in json.loads(said.out)["findings"]}
    assert found["S3 within reach"]["ok"] is found["cutout service"]["ok"] is found["AWS credentials"]["ok"] is True
    assert found["S3 endpoint"]["value"] == s3_server.endpoint
    assert found["GPU"]["value"] == "H200, 143 GiB"
    for secret in (s3_server.env["AWS_SECRET_ACCESS_KEY"], s3_server.env["AWS_ACCESS_KEY_ID"]):
        assert secret not in said.out + said.err


@pytest.mark.parametrize("arguments", [["--folder", "nowhere"], ["--seconds", "-1"], ["--urls", "x"], ["extra"]])
def test_wrong_usage_is_exit_2(lensctl, arguments):
    done = lensctl("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr


def test_the_import_of_the_command_is_light():
    code = "import sys, lensctl.cli.doctor, lensctl.cli.show, lensctl.cli.sync; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


FINDINGS = [
    Finding(SOFTWARE, "lensctl", True, "0.2.0"),
    *(Finding(SOFTWARE, name, True, "1.0", package=True) for name in ("duckdb", "torch", "zarr")),
    Finding("machine", "GPU", False, "none", "training is slow"),
    Finding("machine", "memory", None, "8 GiB"),
    Finding("cloud", "AWS region", True, "us-east-2"),
]


def test_it_ends_with_one_line_that_fits_80_columns(monkeypatch, capsys):
    monkeypatch.setattr("lensctl.doctor.examine", lambda questions: FINDINGS)
    assert main(["doctor"]) == 0
    *table, last = capsys.readouterr().err.splitlines()
    assert last == "All that lensctl requires works; 1 of 2 optional checks failed, see above."
    text = " ".join(" ".join(table).split())
    assert "required packages yes 3 of 3 installed" in text
    assert "duckdb" not in text
    assert "GPU no none (training is slow)" in text
    broken = [*FINDINGS, Finding(SOFTWARE, "rich", False, "not installed", "pip install rich", package=True)]
    assert summary(broken).startswith("lensctl does not work here: rich; ")
    monkeypatch.setattr("lensctl.doctor.examine", lambda questions: broken)
    assert main(["doctor"]) == 0
    text = " ".join(capsys.readouterr().err.split())
    assert "required packages no 3 of 4 installed" in text
    assert "rich no not installed (pip install rich)" in text


@pytest.mark.parametrize(
    ("terminal", "option", "found"), [(False, [], True), (True, [], False), (True, ["--json"], True)]
)
def test_details_are_in_the_json_line_but_on_a_terminal_only_if_asked_for(monkeypatch, capsys, terminal, option, found):
    monkeypatch.setattr("lensctl.doctor.examine", lambda questions: FINDINGS)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert main(["doctor", *option]) == 0
    said = capsys.readouterr()
    (line,) = map(json.loads, said.out.splitlines())
    assert (line["works"], "findings" in line) == (True, found)
    assert bool(said.err) == (not option)
