#!/usr/bin/env bash
# A search as a Slurm array: every task searches one part, and a last job makes the output once all have ended well.
#
#   FROZEN=frozen TABLES='sweep/10.1/*.fits' OUT=found ROOT=/data/dr10/south PARTS=64 ./slurm.sh --lenses lenscat.csv
#
# Options of `lensctl search` stand behind; each part and the last job get the same. FROZEN, TABLES, ROOT and OUT must be
# seen by all nodes. A part that failed or was killed goes on where it was: submit again with the same command.
set -euo pipefail

: "${FROZEN:?the frozen model}" "${TABLES:?tables to search, a glob in quotes}" "${OUT:?folder to make}" "${ROOT:?coadds}"
PARTS=${PARTS:-64}
CPUS=${CPUS:-8}
MEMORY=${MEMORY:-16G}
HOURS=${HOURS:-12}
SBATCH=${SBATCH:-sbatch}

# shellcheck disable=SC2206  # the glob is meant to be one word for each file, or a pattern that lensctl expands
tables=($TABLES)
command=(lensctl search "$FROZEN" "${tables[@]}" "$OUT" --root "$ROOT" --workers "$CPUS" "$@")
printf -v line '%q ' "${command[@]}"

array=$("$SBATCH" --parsable --job-name=lensctl-search --array="1-$PARTS" --cpus-per-task="$CPUS" --mem="$MEMORY" \
  --time="$HOURS:00:00" --wrap="$line --part \$SLURM_ARRAY_TASK_ID/$PARTS")
"$SBATCH" --parsable --job-name=lensctl-finish --dependency="afterok:$array" --cpus-per-task="$CPUS" --mem="$MEMORY" \
  --time="$HOURS:00:00" --wrap="$line --finish"
