#!/bin/bash
# A batch on a Slurm cluster: an array job over its parts, and a job behind it that joins them.
#
#   configs/deploy/slurm.sh --parts 8 --out /shared/results [--cpus 2] [--mem 8G] [--time 4:00:00] \
#       -- /shared/studies --model chest-xray [--report] [any other option of medinv classify]
#
# Inputs, --out and the model lie where every node sees them under the same path. Each part keeps a
# ledger of its own in OUT/shards/I-of-N: no database, but a file that one process of one node appends
# to and no other reads. Parts are joined from the tables that each wrote whole. A part that was killed or
# ran out of time goes on when the same line is given again; parts that are done are not done again.
# MEDINV names the command where it is another than `medinv`, such as one in a container.
# Research use, not for diagnosis.
set -euo pipefail

usage() {
  sed -n '4,5s/^# *//p' "$0" >&2
  exit 2
}

parts=8 out='' cpus=2 mem=8G time=4:00:00
while [ $# -gt 0 ]; do
  case "$1" in
    --parts) parts=$2 ;;
    --out) out=$2 ;;
    --cpus) cpus=$2 ;;
    --mem) mem=$2 ;;
    --time) time=$2 ;;
    --) shift; break ;;
    *) usage ;;
  esac
  shift 2 || usage
done
[ -n "$out" ] && [ $# -gt 0 ] || usage

mkdir -p "$out/jobs"
words=$(printf '%q ' "$@" --out "$out" --resume)
line="${MEDINV:-medinv} classify $words"
limits=(--parsable "--time=$time" --ntasks=1)
array=$(sbatch "${limits[@]}" --job-name=medinv "--cpus-per-task=$cpus" "--mem=$mem" \
  "--array=1-$parts" "--output=$out/jobs/part-%a.log" --wrap "$line--shard \$SLURM_ARRAY_TASK_ID/$parts")
# every part joins if it is the last to end; this one does where the last was stopped and done since
join=$(sbatch "${limits[@]}" --job-name=medinv-join --cpus-per-task=1 --mem=2G \
  "--dependency=afterany:${array%%;*}" "--output=$out/jobs/join.log" --wrap "$line--shard 1/$parts")
echo "parts: job $array, 1 to $parts; join: job $join; logs: $out/jobs; results: $out/results.csv"
