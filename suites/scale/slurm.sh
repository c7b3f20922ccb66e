#!/usr/bin/env bash
#SBATCH --job-name=assay
#SBATCH --array=1-8
#SBATCH --time=00:15:00
#SBATCH --output=assay-%a.txt
# Every job of the array tries its share of the claims on its node's KVM:
#
#     sbatch slurm.sh
#
# One record of all shares, once they are done:
#
#     assay report assay-parts/* --format html --out assay.html
#
# The nodes should be alike: parts that were tried on different hosts make no whole.
set -euo pipefail

status=0
"${ASSAY:-assay}" run "$@" --partition auto --out "assay-parts/$SLURM_ARRAY_TASK_ID" || status=$?
# A claim that is broken is in the record, and no reason to have the job tried again.
[ "$status" -le 1 ]
