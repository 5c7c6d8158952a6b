#!/bin/sh
# Makes build/venv with what building and testing the Python package takes, from PyPI, and switches the package on in
# build/release. Where PyPI cannot be reached it says so, and the package and its tests are left out, or the notebook's alone.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/build/venv
[ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv --system-site-packages "$venv"
if ! "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 2 'nanobind>=2.4' pytest mypy tqdm; then
  echo "The Python package is left out: PyPI cannot be reached." >&2
  exit 0
fi
# Debian's python3-onnx is built for NumPy 1.
if ! "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 2 'numpy<2' matplotlib nbclient ipykernel; then
  echo "The notebook is not run by the tests: matplotlib, nbclient or ipykernel cannot be installed." >&2
fi
cmake --preset release -DSOTTO_BUILD_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" > /dev/null
