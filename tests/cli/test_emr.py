"""`lensctl emr`: what is asked of EMR, refused before it is paid for, and said when it goes wrong; against moto."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os

import pytest

from lensctl.emr import machines, work
from lensctl.io.provenance import digests
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_file import named_survey
from tests.emr.test_bootstrap import FOLDER
from tests.toys import emr as emr_toy
from tests.toys.emr import SAMPLE, refused, told

JOBS = {
    "pool": ("pool", "s3://survey/sweep-0.fits", "s3://survey/made", "--lenses", "s3://survey/lenses.csv"),
    "sample": SAMPLE,
    "cutout": ("cutout", "s3://survey/drawn.parquet", "s3://survey/cut.zarr", "--root", "s3://survey/coadds"),
}


@pytest.fixture(scope="module")
def aws():
    pytest.importorskip("moto", reason="moto is not installed (pip install 'lensctl[test]')")
    with emr_toy.region() as toy:
        for key in ("pool/part-0.parquet", "positives.parquet", "sweep-0.fits", "lenses.csv", "drawn.parquet"):
            toy.put(key, b"only looked for")
        toy.put("coadds/README", b"only looked for")
        yield toy


@pytest.fixture
def emr(lensctl, aws, built):
    """Run `lensctl emr ACTION ...` in the toy's region."""

    def run(*arguments, **env):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return lensctl("emr", *arguments, env={**clean, **aws.env, **env})

    return run


@pytest.fixture
def submit(emr, aws, built):
    """Submit a command and give what was said, on a new cluster where no other options are given."""

    def run(*command, options=None):
        new = ("--subnet", aws.subnet) if options is None else options
        return emr("submit", "--staging", emr_toy.STAGING, "--wheel", built, *new, *command)

    return run


def test_a_dry_run_asks_nothing_of_aws_and_prints_what_submit_then_asks(submit, emr, aws, built):
    options = ("--subnet", aws.subnet, "--market", "spot", "--max-price", "0.08", "--preset", "medium")
    said = told(submit(*SAMPLE, options=(*options, "--dry-run")))
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    command = ("submit", "--dry-run", "--staging", emr_toy.STAGING, "--wheel", built, *options, *SAMPLE)
    offline = told(emr(*command, **nowhere))
    assert offline["request"] == said["request"]
    assert (said["dry_run"], said["api"]) == (True, "RunJobFlow")
    made = told(submit(*SAMPLE, options=options))
    found = aws.client("emr").describe_cluster(ClusterId=made["cluster"])["Cluster"]
    request = said["request"]
    assert {name: found[name] for name in ("Name", "LogUri", "ReleaseLabel", "ServiceRole")} == {
        name: request[name] for name in ("Name", "LogUri", "ReleaseLabel", "ServiceRole")
    }
    assert found["Ec2InstanceAttributes"]["Ec2SubnetId"] == aws.subnet
    assert found["AutoTerminate"] is True
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 1800}
    groups = aws.client("emr").list_instance_groups(ClusterId=made["cluster"])["InstanceGroups"]
    groups.sort(key=lambda group: group["RequestedInstanceCount"])
    assert [(g["InstanceGroupType"], g["Market"], g.get("BidPrice"), g["RequestedInstanceCount"]) for g in groups] == [
        ("MASTER", "ON_DEMAND", None, 1),
        ("CORE", "SPOT", "0.08", 8),
    ]
    step = aws.client("emr").describe_step(ClusterId=made["cluster"], StepId=made["step"])["Step"]
    asked = request["Steps"][0]
    assert step["ActionOnFailure"] == asked["ActionOnFailure"] == "TERMINATE_CLUSTER"
    record = (said["record"], made["record"])
    expected = [record[1] if word == record[0] else word for word in asked["HadoopJarStep"]["Args"]]
    assert step["Config"]["Args"] == expected
    assert expected[-len(SAMPLE) - 2 :] == [*SAMPLE, "--engine", "spark"]
    assert f"AWS_REGION={emr_toy.REGION}" in expected


def test_a_survey_file_goes_to_the_cluster_by_value(emr, aws, built, tmp_path):
    (tmp_path / "ours.yaml").write_text("name: ours\nbase: ls-dr10\nsplit_seed: 7\n")
    command = ("submit", "--dry-run", "--staging", emr_toy.STAGING, "--wheel", built, "--subnet", aws.subnet)
    said = told(emr(*command, *SAMPLE, "--survey", tmp_path / "ours.yaml"))
    sent = said["request"]["Steps"][0]["HadoopJarStep"]["Args"]
    assert named_survey(sent[-1]) == dataclasses.replace(LS_DR10, name="ours", split_seed=7)


def test_submit_uploads_the_wheel_by_its_digest_its_constraints_the_bootstrap_and_the_config(
    submit, aws, built, tmp_path
):
    (tmp_path / "s.yaml").write_text("negatives_per_positive: 3\n")
    said = told(submit(*SAMPLE, "--config", tmp_path / "s.yaml"))
    (action,) = aws.client("emr").list_bootstrap_actions(ClusterId=said["cluster"])["BootstrapActions"]
    assert aws.get(action["ScriptPath"]) == (FOLDER / "bootstrap.sh").read_bytes()
    wheel_there, constraints = (aws.get(url) for url in action["Args"])
    assert digests.of_bytes(wheel_there) == digests.of_file(built) == said["wheel"]
    assert constraints == (FOLDER.parent / "constraints.txt").read_bytes()
    step = aws.client("emr").describe_step(ClusterId=said["cluster"], StepId=said["step"])["Step"]
    there = work.from_arguments(step["Config"]["Args"])
    assert "--config" not in there.command
    assert aws.get(there.config) == b"negatives_per_positive: 3\n"
    assert str(tmp_path) not in json.dumps(step, default=str)


@pytest.mark.parametrize("name", JOBS)
def test_every_command_that_runs_there_is_submitted_with_its_outputs_named(submit, aws, name):
    said = told(submit(*JOBS[name]))
    step = aws.client("emr").describe_step(ClusterId=said["cluster"], StepId=said["step"])["Step"]
    assert work.from_arguments(step["Config"]["Args"]).outputs == (JOBS[name][2],) == (said["output"],)


def test_a_cluster_that_was_kept_takes_further_steps_of_the_same_wheel_only(submit, aws, emr, built, tmp_path):
    kept = told(submit(*SAMPLE, options=("--subnet", aws.subnet, "--keep", "--idle-minutes", "5")))["cluster"]
    assert aws.client("emr").describe_cluster(ClusterId=kept)["Cluster"]["AutoTerminate"] is False
    more = told(submit(*JOBS["pool"], options=("--cluster", kept)))
    assert more["cluster"] == kept
    states = told(emr("status", kept))
    assert [step["name"] for step in states["steps"]] == ["lensctl sample", "lensctl pool"]
    step = aws.client("emr").describe_step(ClusterId=kept, StepId=more["step"])["Step"]
    assert step["ActionOnFailure"] == "CONTINUE"
    other = tmp_path / built.name
    other.write_bytes(built.read_bytes() + b" ")
    options = ("--staging", emr_toy.STAGING, "--wheel", other, "--cluster", kept)
    refused(emr("submit", *options, *SAMPLE), f"cluster {kept} has a different wheel installed")
    refused(submit(*SAMPLE, options=("--cluster", kept, "--nodes", "3")), "already has its machines")
    told(emr("terminate", kept))
    refused(submit(*SAMPLE, options=("--cluster", kept)), f"cluster {kept} is TERMINATED")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("train", "m", "r"), "'train' does not run on a cluster"),
        (("sampel", "a", "b"), "did you mean 'sample'"),
        (("sample", "s3://survey/pool"), "Missing argument 'OUTPUT'"),
        ((*SAMPLE, "--sed", "3"), "--sed"),
        ((*SAMPLE, "--engine", "duckdb"), "--engine duckdb uses only one machine"),
        ((*SAMPLE, "--dry-run"), "--dry-run is not for a cluster"),
        ((*JOBS["cutout"], "--npz", "s3://survey/npz"), "--npz is not for a cluster"),
        (("sample", "pool.parquet", *SAMPLE[2:]), "pool.parquet is on this machine"),
        ((*SAMPLE[:2], "drawn.parquet", *SAMPLE[3:]), "drawn.parquet is on this machine"),
        ((*SAMPLE[:2], "s3://survey/d.csv", *SAMPLE[3:]), "only parquet carries provenance"),
        (("sample", "s3://survey/nothing", *SAMPLE[2:]), "s3://survey/nothing: no such object"),
        (("pool", "s3://survey/x-*.fits", *JOBS["pool"][2:]), "s3://survey/x-*.fits: no such object"),
        ((*SAMPLE, "--config", "nowhere.yaml"), "nowhere.yaml: config cannot be read"),
    ],
)
def test_a_command_that_could_only_fail_there_is_refused_here_and_nothing_is_started(submit, emr, command, words):
    before = told(emr("list", "--all"))["clusters"]
    refused(submit(*command), words)
    assert told(emr("list", "--all"))["clusters"] == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no subnet is given"),
        (("--subnet", "subnet-00000000"), "subnet subnet-00000000 in us-east-2: EC2 says: InvalidSubnetID.NotFound"),
        (("--subnet", "s", "--executor-memory", "5g"), "spark.executor.memory=5g is more than YARN starts"),
        (("--subnet", "s", "--preset", "huge"), "no preset 'huge'"),
        (("--subnet", "s", "--max-price", "1"), "--max-price does not apply"),
    ],
)
def test_machines_that_could_not_start_are_refused_here(submit, options, words):
    refused(submit(*SAMPLE, options=options), words)


def test_a_subnet_of_another_region_or_without_room_is_refused(submit, aws):
    elsewhere = aws.client("ec2", "eu-west-1").describe_subnets()["Subnets"][0]["SubnetId"]
    refused(submit(*SAMPLE, options=("--subnet", elsewhere)), f"subnet {elsewhere} in us-east-2", "of that region")
    ec2 = aws.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    small = ec2.create_subnet(VpcId=network, CidrBlock="10.9.0.0/28")["Subnet"]["SubnetId"]
    refused(submit(*SAMPLE, options=("--subnet", small, "--preset", "medium", "--nodes", "20")), "has 11 addresses")


def test_the_region_is_given_or_configured_and_never_guessed(emr, aws, built):
    options = ("submit", "--staging", emr_toy.STAGING, "--wheel", built, "--subnet", "s", "--dry-run")
    refused(emr(*options, *SAMPLE, AWS_REGION=""), "no AWS region is given", "add --region")
    assert told(emr(*options, "--region", "eu-west-1", *SAMPLE))["region"] == "eu-west-1"
    for action in (["status", "j-1"], ["wait", "j-1"], ["logs", "j-1"], ["terminate", "j-1"], ["list"]):
        refused(emr(*action, AWS_REGION=""), "no AWS region is given")


@pytest.mark.parametrize(
    "action", [["status", "j-1"], ["wait", "j-1"], ["logs", "j-1"], ["terminate", "j-1"], ["list"]]
)
def test_without_credentials_one_sentence_says_so(emr, action):
    refused(emr(*action, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""), "no AWS credentials")


@pytest.mark.parametrize("action", ["status", "wait", "logs", "terminate"])
def test_a_cluster_that_is_not_there_is_named_with_what_to_do(emr, action):
    refused(emr(action, "j-NOWHERE"), "EMR says", "j-NOWHERE")


def test_emr_out_of_reach_is_one_sentence(emr):
    refused(emr("list", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"), "EMR does not respond")


def test_quotas_that_end_a_cluster_are_said_by_wait(submit, emr, aws):
    cluster = told(submit(*SAMPLE))["cluster"]
    held = aws.cluster(cluster)
    held.state, held.steps[0].state = "TERMINATED_WITH_ERRORS", "CANCELLED"
    held.last_state_change_reason = "The number of vCPUs exceeds your EC2 service quota"
    refused(emr("wait", cluster, "--log-minutes", "0"), f"cluster {cluster} is TERMINATED_WITH_ERRORS", "service quota")


def test_a_bootstrap_that_fails_is_told_with_its_last_lines_and_the_place_of_its_log(submit, emr, aws):
    cluster = told(submit(*SAMPLE))["cluster"]
    held = aws.cluster(cluster)
    held.state, held.steps[0].state = "TERMINATED_WITH_ERRORS", "CANCELLED"
    held.last_state_change_reason = "On the master instance, bootstrap action 1 returned a non-zero return code"
    log = f"emr/logs/{cluster}/node/i-1/bootstrap-actions/1/stderr.gz"
    aws.put(log, gzip.compress(b"ERROR: No matching distribution found for numpy==9\n"))
    done = emr("wait", cluster)
    refused(done, "bootstrap action 1 returned", f"s3://survey/emr/logs/{cluster}/node")
    assert f"--- s3://survey/{log}\nERROR: No matching distribution found" in done.stderr
    shown = told(emr("logs", cluster))
    assert shown["error_lines"] == {f"s3://survey/{log}": 1}
    assert told(emr("status", cluster))["reason"] == held.last_state_change_reason


def test_a_step_that_fails_is_told_with_its_last_lines(submit, emr, aws):
    said = told(submit(*SAMPLE))
    held = aws.cluster(said["cluster"])
    held.state, held.steps[0].state = "TERMINATING", "FAILED"
    cut = "x" * 984 + " s3://me:hunter2@bucket/key"
    lines = "\n".join(["one", *["noise"] * 30, cut, "error: pool: strata fall short: SER by 3"])
    aws.put(f"emr/logs/{said['cluster']}/steps/{said['step']}/stderr.gz", gzip.compress(lines.encode()))
    done = emr("wait", said["cluster"], said["step"])
    refused(done, f"step {said['step']} of cluster {said['cluster']} is FAILED", f"steps/{said['step']}")
    assert "error: pool: strata fall short" in done.stderr
    assert "one\n" not in done.stderr, "only the last lines"
    assert "x" * 984 in done.stderr
    assert "hunter" not in done.stderr, "nor what a cut uncovers"


def test_of_a_log_that_swells_the_end_is_kept(submit, emr, aws):
    said = told(submit(*SAMPLE))
    url = f"emr/logs/{said['cluster']}/steps/{said['step']}/stderr.gz"
    aws.put(url, gzip.compress(b"error: the beginning\n" + bytes(100 << 20) + b"\nerror: the end\n"))
    done = emr("logs", said["cluster"], said["step"])
    assert told(done)["error_lines"] == {f"s3://survey/{url}": 1}
    assert done.stderr.endswith("error: the end\n")
    assert len(done.stderr) < 10_000, "of a line without an end the beginning"


def test_waiting_has_an_end_of_its_own_and_leaves_the_cluster_alone(submit, emr, aws):
    cluster = told(submit(*SAMPLE))["cluster"]
    refused(emr("wait", cluster, "--every", "0.01", "--timeout-hours", "0"), "RUNNING after 0 h", "it is still running")
    assert aws.cluster(cluster).steps[0].state == "RUNNING"


def test_logs_that_are_not_there_yet_are_said_to_be_coming(submit, emr):
    refused(emr("logs", told(submit(*SAMPLE))["cluster"]), "there are no logs yet", "try again")


def test_only_our_clusters_are_listed_and_terminate_ends_one(submit, emr, aws):
    theirs = aws.client("emr").run_job_flow(
        Name="other", ReleaseLabel="emr-7.10.0", Instances={"KeepJobFlowAliveWhenNoSteps": True}
    )["JobFlowId"]
    ours = told(submit(*SAMPLE))["cluster"]
    live = [each["id"] for each in told(emr("list"))["clusters"]]
    assert (ours in live, theirs in live) == (True, False)
    assert told(emr("terminate", ours))["was"] in ("WAITING", "RUNNING")
    assert ours not in [each["id"] for each in told(emr("list"))["clusters"]]
    assert ours in [each["id"] for each in told(emr("list", "--all"))["clusters"]]


def test_settings_come_from_a_config_before_or_behind_the_action_and_a_typo_is_refused(emr, aws, built, tmp_path):
    (tmp_path / "emr.yaml").write_text(f"staging: {emr_toy.STAGING}\nsubnet: s\npreset: full\nwheel: {built}\n")
    for line in (["--config", "emr.yaml", "submit"], ["submit", "--config", "emr.yaml"]):
        said = told(emr(*line, "--dry-run", *SAMPLE))
        assert said["request"]["Instances"]["InstanceGroups"][1]["InstanceCount"] == machines.PRESETS["full"].nodes
    (tmp_path / "emr.yaml").write_text("presett: full\n")
    for line in (["--config", "emr.yaml", "submit"], ["submit", "--config", "emr.yaml"]):
        refused(emr(*line, *SAMPLE), "no setting 'presett' (did you mean 'preset'?)")
