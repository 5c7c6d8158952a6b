#!/bin/sh
# Installs what a fresh Debian 12 lacks to build, run and test Sotto. Needs root (or sudo) and Debian's package mirror.
# Does nothing when everything is there. Packages that are named as arguments are installed, too.
set -eu

packages="
  g++ cmake ninja-build pkg-config ccache git ca-certificates
  libtbb-dev libsodium-dev nlohmann-json3-dev libcli11-dev libfmt-dev libtomlplusplus-dev libstb-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev libseccomp-dev
  protobuf-compiler libprotobuf-dev libonnx-dev
  libgtest-dev libgmock-dev
  python3 python3-numpy python3-onnx python3-pil python3-dev python3-venv
"
missing=""
for p in $packages "$@"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
  echo "All packages are installed."
  exit 0
fi
root=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "These packages are missing; install them as root:$missing" >&2; exit 1; }
  root="sudo"
fi
echo "Installing:$missing"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "Done."
