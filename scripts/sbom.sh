#!/bin/sh
# Writes a bill of materials (CycloneDX, JSON) of a build: every library that its programs load or have compiled in, with the
# Debian package and version that it comes from, and what the Python package needs. Usage: scripts/sbom.sh [BUILD] [--out FILE]
# [--bin FOLDER]; default: build/release, BUILD/sotto.cdx.json, BUILD/bin.
set -eu
exec /usr/bin/python3 -B "$(dirname "$0")/../tools/sbom.py" "$@"
