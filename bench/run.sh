#!/bin/sh
# The figures of the first table of the README, as JSON in OUT (default build/bench-results). About ten minutes on two cores.
#
# usage: bench/run.sh cifar10:DIR [OUT]
set -eu
[ $# -ge 1 ] || { echo "usage: bench/run.sh cifar10:DIR [OUT]" >&2; exit 2; }
cd "$(dirname "$0")/.."
data=$1
out=${2:-build/bench-results}
mkdir -p "$out"
scripts/build.sh bench
sotto=build/bench/bin/sotto
$sotto bench --json >"$out/kernels.json"
$sotto bench keyswitch --threads 2 --json >"$out/keyswitch-2-threads.json"
$sotto evaluate models/resnet20-cifar10.onnx --data "$data" --count 1024 --batch 1024 --json "$out/resnet20-1024.json" --report "$out/resnet20-1024.html"
/usr/bin/python3 bench/summary.py "$out"
