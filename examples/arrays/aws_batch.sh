#!/usr/bin/env bash
# A search as an AWS Batch array job: every child searches one part, and a last job makes the output once all have succeeded.
#
#   QUEUE=lenses DEFINITION=lensctl FROZEN=/model/frozen TABLES='s3://my-survey/sweep/*.fits' OUT=s3://my-lenses/found \
#     ROOT=s3://my-survey/south PARTS=200 ./aws_batch.sh --lenses s3://my-lenses/lenscat.csv
#
# DEFINITION is a job definition whose image has lensctl and bash, and FROZEN in it; TABLES, ROOT and OUT are on S3. Its
# retry strategy may start a child again that was taken away with its spot instance: it goes on where it was.
set -euo pipefail

: "${QUEUE:?job queue}" "${DEFINITION:?job definition}" "${FROZEN:?the frozen model}" "${TABLES:?tables to search}"
: "${OUT:?folder to make, s3://}" "${ROOT:?coadds, s3://}"
PARTS=${PARTS:-200}
AWS=${AWS:-aws}

command=(lensctl search "$FROZEN" "$TABLES" "$OUT" --root "$ROOT" "$@")
printf -v line '%q ' "${command[@]}"

submit() { # NAME LINE [OPTION...]: prints the id of the job
  local name=$1 text=$2
  shift 2
  local overrides
  overrides=$(python3 -c 'import json, sys; print(json.dumps({"command": ["bash", "-c", sys.argv[1]]}))' "$text")
  "$AWS" batch submit-job --job-name "$name" --job-queue "$QUEUE" --job-definition "$DEFINITION" \
    --container-overrides "$overrides" --query jobId --output text "$@"
}

# children are numbered from 0, parts from 1
array=$(submit lensctl-search "$line --part \$((AWS_BATCH_JOB_ARRAY_INDEX + 1))/$PARTS" --array-properties "size=$PARTS")
submit lensctl-finish "$line --finish" --depends-on "jobId=$array"
