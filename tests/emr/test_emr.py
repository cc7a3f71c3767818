"""What is asked of EMR, refused before it is paid for, and said when it goes wrong; against moto's EMR, EC2 and S3."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lensctl.emr import machines, service, wheel, work
from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError, LensctlError, ServiceError
from tests.emr.test_bootstrap import FOLDER, MOST_GB
from tests.toys import emr as emr_toy

SAMPLE = ("sample", "s3://survey/pool", "s3://survey/drawn.parquet", "--positives", "s3://survey/positives.parquet")
JOBS = {
    "pool": ("pool", "s3://survey/sweep-0.fits", "s3://survey/made", "--lenses", "s3://survey/lenses.csv"),
    "sample": SAMPLE,
    "cutout": ("cutout", "s3://survey/drawn.parquet", "s3://survey/cut.zarr", "--root", "s3://survey/coadds"),
}
WORK = work.Work("sha256:1", "s3://survey/r.json", 1.5, ("s3://a", "s3://b"), SAMPLE, "s3://survey/c.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return wheel.checkout().wheel(tmp_path_factory.mktemp("wheel"))


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


def told(done):
    """The JSON line of a command that went well."""
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def refused(done, *words):
    """Whether a command ended with 2, one error and its remedy, nothing on stdout."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr[done.stderr.index("error: ") :]
    assert "  fix: " in said
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("preset", machines.PRESETS)
def test_a_preset_is_a_machine_whose_spark_settings_are_within_its_limit(preset):
    chosen = machines.choose(preset)
    assert machines.MOST_EXECUTOR_GB == MOST_GB, "the limits of the bootstrap's own test"
    assert machines.spark_settings(FOLDER, chosen.kind)[0]["Properties"]["spark.executor.memory"]
    assert chosen.most_node_hours == (1 + chosen.nodes) * chosen.hours


@pytest.mark.parametrize(("kind", "most"), MOST_GB.items())
def test_executor_memory_is_taken_up_to_the_limit_of_its_machine_and_refused_beyond(kind, most):
    for fits in (f"{most}g", f"{1024 * most}M", "512m"):
        settings = machines.spark_settings(FOLDER, kind, fits)
        assert settings[0]["Properties"]["spark.executor.memory"] == fits.lower()
    for beyond in (f"{most + 1}g", f"{1024 * most + 1}m"):
        with pytest.raises(InputError, match=f"more than YARN starts on {kind}"):
            machines.spark_settings(FOLDER, kind, beyond)
    for nonsense in ("lots", "4", "0g", "4gb"):
        with pytest.raises(InputError):
            machines.spark_settings(FOLDER, kind, nonsense)


def test_spot_nodes_never_cost_more_than_on_demand_ones_and_the_primary_is_none():
    primary, core = machines.choose("medium", market="spot").groups()
    assert (primary["Market"], "BidPrice" in primary) == ("ON_DEMAND", False)
    assert (core["Market"], "BidPrice" in core) == ("SPOT", False), "EMR's own limit is the on-demand price"
    assert machines.choose("medium", market="spot", max_price=0.07).groups()[1]["BidPrice"] == "0.07"
    assert "BidPrice" not in machines.choose("medium").groups()[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "medum"}, "no preset 'medum' .did you mean 'medium'"),
        ({"preset": "test", "kind": "m5.large"}, "no Spark settings for m5.large"),
        ({"preset": "test", "market": "cheap"}, "no market 'cheap'"),
        ({"preset": "test", "max_price": 0.1}, "max-price means nothing to on-demand"),
    ],
)
def test_machines_that_do_not_go_together_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        machines.choose(**given)


@pytest.mark.parametrize("each", [WORK, replace(WORK, config=None, outputs=("s3://a",))])
def test_what_a_step_is_told_is_read_back_from_its_arguments(each):
    arguments = ["env", "A=1", "spark-submit", "s3://x/step.py", *each.arguments()]
    assert work.from_arguments(arguments) == each


@pytest.mark.parametrize("arguments", [[], ["spark-submit", "x.py"], ["emr", "step"], ["emr", "step", "--wheel", "a"]])
def test_a_step_that_is_not_ours_is_said_to_be_none(arguments):
    with pytest.raises(InputError, match="not made by `lensctl emr submit`"):
        work.from_arguments(arguments)


def test_the_same_code_gives_the_same_wheel_whose_launcher_is_lensctl_itself(built, tmp_path):
    copied = tmp_path / "checkout"
    copied.mkdir()
    for name in ("lensctl", "pyproject.toml", "README.md", "LICENSE", "constraints.txt", "emr_bootstrap"):
        (copied / name).symlink_to(wheel.checkout().folder / name)
    one, two = (wheel.checkout(copied).wheel(tmp_path / n) for n in ("1", "2") if not (tmp_path / n).mkdir())
    assert digests.of_file(one) == digests.of_file(two)
    assert b"lensctl.cli.main" in wheel.launcher(built)


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
    refused(emr("submit", *options, *SAMPLE), f"cluster {kept} has installed another wheel")
    refused(submit(*SAMPLE, options=("--cluster", kept, "--nodes", "3")), "are what they are")
    told(emr("terminate", kept))
    refused(submit(*SAMPLE, options=("--cluster", kept)), f"cluster {kept} is TERMINATED")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("train", "m", "r"), "'train' does not run on a cluster"),
        (("sampel", "a", "b"), "did you mean 'sample'"),
        (("sample", "s3://survey/pool"), "Missing argument 'OUTPUT'"),
        ((*SAMPLE, "--sed", "3"), "--sed"),
        ((*SAMPLE, "--engine", "duckdb"), "--engine duckdb uses one machine"),
        ((*SAMPLE, "--dry-run"), "--dry-run is not for a cluster"),
        ((*JOBS["cutout"], "--npz", "s3://survey/npz"), "--npz is not for a cluster"),
        (("sample", "pool.parquet", *SAMPLE[2:]), "pool.parquet is on this machine"),
        ((*SAMPLE[:2], "drawn.parquet", *SAMPLE[3:]), "drawn.parquet is on this machine"),
        ((*SAMPLE[:2], "s3://survey/d.csv", *SAMPLE[3:]), "only parquet carries its provenance"),
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
        (("--subnet", "s", "--max-price", "1"), "--max-price means nothing"),
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
    refused(emr("list", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"), "EMR does not answer")


@pytest.mark.parametrize(
    ("code", "message", "kind", "fix"),
    [  # moto has no quotas and no rights: these are AWS's own words
        ("ValidationException", "You have exceeded your EC2 vCPU quota.", ServiceError, "fewer --nodes"),
        ("InstanceLimitExceeded", "Your quota allows for 0 more running instance(s).", ServiceError, "raise the quota"),
        ("AccessDeniedException", "User is not authorized to perform: RunJobFlow", ServiceError, "lacks this right"),
        ("ExpiredTokenException", "The security token included in the request is expired", ServiceError, "not valid"),
        ("ThrottlingException", "Rate exceeded", ServiceError, "wait a minute"),
        ("InvalidRequestException", "Cluster id 'j-1' is not valid.", InputError, "lensctl emr list"),
    ],
)
def test_each_refusal_of_aws_says_what_helps(code, message, kind, fix):
    error = service.refusal("EMR", {"Code": code, "Message": message})
    assert (type(error), fix in error.fix) == (kind, True), (error, error.fix)
    assert message in str(error)


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
    lines = "\n".join(["one", *["noise"] * 30, "error: pool: strata fall short: SER by 3"])
    aws.put(f"emr/logs/{said['cluster']}/steps/{said['step']}/stderr.gz", gzip.compress(lines.encode()))
    done = emr("wait", said["cluster"], said["step"])
    refused(done, f"step {said['step']} of cluster {said['cluster']} is FAILED", f"steps/{said['step']}")
    assert "error: pool: strata fall short" in done.stderr
    assert "one\n" not in done.stderr, "only the last lines"


def test_waiting_has_an_end_of_its_own_and_leaves_the_cluster_alone(submit, emr, aws):
    cluster = told(submit(*SAMPLE))["cluster"]
    refused(emr("wait", cluster, "--every", "0.01", "--timeout-hours", "0"), "RUNNING after 0 h", "it goes on")
    assert aws.cluster(cluster).steps[0].state == "RUNNING"


def test_logs_that_are_not_there_yet_are_said_to_be_coming(submit, emr):
    refused(emr("logs", told(submit(*SAMPLE))["cluster"]), "there are no logs yet", "ask again")


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


def test_a_lensctl_that_was_not_installed_from_a_wheel_does_no_step():
    with pytest.raises(LensctlError, match="not installed from a wheel"):
        wheel.installed()


def test_what_is_no_wheel_and_what_is_no_checkout_is_named(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no")
    with pytest.raises(InputError, match="x.whl: not a wheel of lensctl"):
        wheel.launcher(tmp_path / "x.whl")
    with pytest.raises(InputError, match=f"{tmp_path.name} is no checkout of lensctl: it has no bootstrap.sh"):
        wheel.checkout(Path(tmp_path))
