#!/usr/bin/env bash
# Seeds the corpora in a folder, by default `corpus`: the fixtures, and of each the first kilobytes, which mutate faster.
set -euo pipefail
cd "$(dirname "$0")"
corpus=${1:-corpus}
mkdir -p "$corpus"/{catboost,gbdt,lightgbm,onnx,xgboost}
for file in ../tests/fixtures/*/model.*; do
    name=$(basename "$(dirname "$file")").${file##*.}
    target=${name%%_*}
    cp "$file" "$corpus/$target/$name"
    head -c 4000 "$file" > "$corpus/$target/$name.head"
done
head -c 200000 ../../relapse_risk/model.json > "$corpus/gbdt/relapse_risk.json"
cp ../../medication_adherence_risk/model.json "$corpus/gbdt/"
