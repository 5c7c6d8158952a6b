#!/bin/sh
# Runs what is too long for every day and says how long each part took: sanitizers, other kernel sets, coverage, lint, faults, fuzzing,
# the release archive twice, and README's two commands on a fresh Debian. Hours. Options: scripts/nightly.sh --help.
set -eu
cd "$(dirname "$0")/.."
exec /usr/bin/python3 -B tools/nightly.py "$@"
