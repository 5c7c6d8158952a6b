#!/bin/sh
# Checks layout and style of the sources: clang-format on everything, clang-tidy on src/ (minutes), the layer rules, the documents.
# `scripts/lint.sh --fast` leaves out clang-tidy. Needs the Debian packages clang-format and clang-tidy.
set -eu
cd "$(dirname "$0")/.."
/usr/bin/python3 tools/check_layers.py
/usr/bin/python3 tools/check_documents.py
find src tests include examples python -name '*.cpp' -o -name '*.h' | xargs clang-format --dry-run -Werror
[ "${1:-}" = --fast ] && exit 0
cmake --preset dev > /dev/null
exec run-clang-tidy -quiet -p build/dev "$PWD/src/.*\.cpp$"
