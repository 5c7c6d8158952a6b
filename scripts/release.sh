#!/bin/sh
# Makes the archives of a release from the last commit, byte for byte the same on every machine with the same compiler and
# libraries: sotto-VERSION.tar.gz (sources), sotto-VERSION-linux-MACHINE.tar.gz (what `cmake --install` gives), their bill of
# materials, and SHA256SUMS.
#
# usage: scripts/release.sh [--out DIR] [--build DIR] [--check]
#
# --out    where they go (default: build/archives)
# --build  pack this build instead of making one from the source archive
# --check  makes them twice, in folders with different names, and compares
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=$here/build/archives
build=""
check=""
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --check) check=1; shift ;;
    *) echo "usage: scripts/release.sh [--out DIR] [--build DIR] [--check]" >&2; exit 2 ;;
  esac
done

git -C "$here" rev-parse --verify -q HEAD > /dev/null || { echo "release.sh: $here is no git repository" >&2; exit 1; }
version=$(git -C "$here" show HEAD:CMakeLists.txt | sed -n 's/^project(sotto VERSION \([0-9.]*\).*/\1/p')
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
name=sotto-$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Times are those of the commit, owners root.
pack_sources() { git -C "$here" archive --format=tar --prefix="$name/" HEAD | gzip -9n > "$1/$name.tar.gz"; }

# build_sources FOLDER OUT: builds what is in the source archive; FOLDER/build.
build_sources() {
  mkdir -p "$1"
  tar -xzf "$2/$name.tar.gz" -C "$1"
  cmake -S "$1/$name" -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSOTTO_BUILD_TESTS=OFF \
    -DCMAKE_CXX_FLAGS="-ffile-prefix-map=$1=." > "$1/configure.log"
  cmake --build "$1/build" > "$1/build.log" || { tail -20 "$1/build.log" >&2; exit 1; }
}

# pack_build BUILD OUT
pack_build() {
  stage=$work/stage
  rm -rf "$stage"
  cmake --install "$1" --prefix "$stage/$name" --strip > /dev/null
  folder=$(cd "$1" && pwd)
  if found=$(grep -rlF -e "$folder" -e "$work" "$stage"); then
    echo "release.sh: these files name the folder in which they were built:" $found >&2
    exit 1
  fi
  tar -C "$stage" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" |
    gzip -9n > "$2/$name-linux-$(uname -m).tar.gz"
  "$here/scripts/sbom.sh" "$1" --bin "$stage/$name/bin" --out "$2/$name.cdx.json" > /dev/null
}

# make_all OUT FOLDER
make_all() {
  mkdir -p "$1"
  pack_sources "$1"
  if [ -n "$build" ]; then
    pack_build "$build" "$1"
  else
    build_sources "$2" "$1"
    pack_build "$2/build" "$1"
    rm -rf "$2"
  fi
  (cd "$1" && sha256sum "$name"*.tar.gz "$name.cdx.json" > SHA256SUMS)
}

make_all "$out" "$work/one"
if [ -n "$check" ]; then
  make_all "$work/again" "$work/another-folder"
  diff "$out/SHA256SUMS" "$work/again/SHA256SUMS" || { echo "release.sh: two builds differ" >&2; exit 1; }
  echo "two builds are the same, byte for byte"
fi
cat "$out/SHA256SUMS"
