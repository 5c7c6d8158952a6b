#!/bin/sh
# For the suite: build_task.sh SUBMISSION. Builds Sotto where that is missing, and compiles the network for all sizes. What is
# there and up to date stays.
set -eu
task=$(cd "$1" && pwd)
: "${SOTTO_HOME:?set SOTTO_HOME to the folder of Sotto}"
[ -x "$SOTTO_HOME/build/release/bin/sotto" ] || [ -x "$SOTTO_HOME/bin/sotto" ] || "$SOTTO_HOME/scripts/build.sh" release
for size in 0 1 2 3; do
  python3 "$task/server_get_params.py" $size
done
