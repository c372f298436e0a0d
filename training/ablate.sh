#!/bin/sh
# Trains each configuration in ablations/ for the same number of steps, one after the
# other, and draws them over each other. Stopped and called again it goes on where it was.
#
#     training/ablate.sh DATA RUNS
set -eu
data=$1 runs=$2
for config in "$(dirname "$0")"/ablations/*.yaml; do
    python -m napari_sam.training.pocket.train "$config" \
        --data "$data" --out "$runs/$(basename "$config" .yaml)" --workers 1
done
python -m napari_sam.training.pocket.curves "$runs"/*/
