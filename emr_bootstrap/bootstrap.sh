#!/usr/bin/env bash
# EMR 7.x bootstrap action: installs lensctl and its pinned dependencies, without torch, in its own virtual environment.
#
#   bootstrap.sh WHEEL CONSTRAINTS
#
# WHEEL and CONSTRAINTS are s3:// paths (or files) of lensctl's wheel and constraints.txt. Spark is EMR's own: it is
# installed after this script has run, so only its path is set here.
set -euo pipefail

if [[ $# -ne 2 ]]; then
    echo "usage: bootstrap.sh WHEEL CONSTRAINTS" >&2
    exit 2
fi
wheel=$1
constraints=$2
prefix=${LENSCTL_PREFIX:-/opt/lensctl}
profile=${LENSCTL_PROFILE:-/etc/profile.d/lensctl.sh}
spark_home=/usr/lib/spark
numba_cache=/tmp/numba_cache

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

fetch() { # an object or a file, into the current folder, under its own name
    case $1 in
        s3://* | s3a://*) aws s3 cp --only-show-errors "s3://${1#*://}" . ;;
        *) cp "$1" . ;;
    esac
}

if ! command -v python3.11 > /dev/null; then
    as_root dnf install --assumeyes --quiet python3.11 python3.11-pip
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fetch "$wheel"
fetch "$constraints"

as_root python3.11 -m venv "$prefix"
pip() {
    as_root "$prefix/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir "$@"
}
pip install --no-deps "./$(basename "$wheel")"

# Dependencies for tables and cutouts: all but torch (gigabytes, and no GPU here) and PySpark.
"$prefix/bin/python" - > needs.txt <<'PYTHON'
import importlib.metadata
import re

for need in importlib.metadata.requires("lensctl") or ():
    requirement, _, marker = need.partition(";")
    name = re.match(r"[\w.-]+", requirement).group()
    if name not in ("torch", "torchvision", "pyspark") and (not marker or 'extra == "spark"' in marker):
        print(requirement.strip())
PYTHON
pip install --no-warn-conflicts --constraint "./$(basename "$constraints")" --requirement needs.txt py4j

# EMR's PySpark, found once it is installed.
site=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$spark_home/python" | as_root tee "$site/emr_spark.pth" > /dev/null

# Libraries that compile at run time cannot write beside themselves as YARN's users.
as_root install -d -m 1777 "$numba_cache"
as_root tee "$profile" > /dev/null <<PROFILE
export PATH=$prefix/bin:\$PATH
export SPARK_HOME=$spark_home
export PYSPARK_PYTHON=$prefix/bin/python
export NUMBA_CACHE_DIR=$numba_cache
PROFILE

"$prefix/bin/lensctl" --version
