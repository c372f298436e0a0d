#!/bin/sh
# Trains each configuration in ablations/ for the same time, one after the other, and
# draws them over each other. Stopped and called again it goes on where it was.
#
#     training/ablate.sh DATA RUNS MINUTES
set -eu
data=$1 runs=$2 minutes=$3
for config in "$(dirname "$0")"/ablations/*.yaml; do
    python -m napari_sam.training.pocket.train "$config" \
        --data "$data" --out "$runs/$(basename "$config" .yaml)" --minutes "$minutes"
done
python -m napari_sam.training.pocket.curves "$runs"/*/
