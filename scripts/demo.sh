#!/bin/sh
# Classifies encrypted images from start to end: installs what is missing, builds, then plays client and server in turn.
#
# usage: scripts/demo.sh [--data SRC] [--count N] [--batch B]
#
# SRC is cifar10:DIR, or a folder of 32x32 pictures. Without it: $SOTTO_DATA, CIFAR-10 where it is at hand or can be downloaded,
# else the photos in models/demo.
set -eu
cd "$(dirname "$0")/.."
data=${SOTTO_DATA:-}
count=""
batch=""
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2 ;;
    --count) count=$2 ;;
    --batch) batch=$2 ;;
    *) echo "usage: scripts/demo.sh [--data SRC] [--count N] [--batch B]" >&2; exit 2 ;;
  esac
  shift 2
done

echo "== 1/7 packages and build"
scripts/setup.sh
scripts/build.sh release sotto sotto-server
sotto=build/release/bin/sotto

find_cifar() {
  if [ -e build/cifar/cifar-10-batches-bin/test_batch.bin ]; then echo cifar10:build/cifar; return; fi
  url=https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz
  sum=c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd
  mkdir -p build/cifar
  if command -v curl >/dev/null && curl -fsS --connect-timeout 5 --max-time 600 -o build/cifar/cifar.tar.gz "$url" 2>/dev/null &&
     echo "$sum  build/cifar/cifar.tar.gz" | sha256sum -c --quiet 2>/dev/null && tar -xzf build/cifar/cifar.tar.gz -C build/cifar; then
    rm -f build/cifar/cifar.tar.gz
    echo cifar10:build/cifar
    return
  fi
  rm -f build/cifar/cifar.tar.gz
  echo models/demo
}
case $data in
  "") data=$(find_cifar) ;;
  *:*) ;;
  *) [ -e "$data/cifar-10-batches-bin" ] && data=cifar10:$data ;;
esac
case $data in
  cifar10:*) count=${count:-256} ; batch=${batch:-256} ;;
  *) batch=${batch:-64} ;;
esac

work=build/demo
rm -rf "$work"
mkdir -p "$work/server" "$work/client"
echo "== 2/7 server: compile the network (weights stay in net.plan)"
$sotto compile models/resnet20-cifar10.onnx --batch "$batch" --out "$work/server/net"
cp "$work/server/net.client" "$work/client/"
echo "== 3/7 client: make keys"
$sotto keygen "$work/client/net.client" --out "$work/client/keys"
echo "== 4/7 client: encrypt images from $data"
$sotto encrypt "$work/client/net.client" --keys "$work/client/keys" --data "$data" ${count:+--count "$count"} --out "$work/client/in.sotto"
echo "== 5/7 the server gets the evaluation key and the encrypted images, nothing else"
cp "$work/client/keys/eval.key" "$work/client/in.sotto" "$work/server/"
ls -l "$work/server"
echo "== 6/7 server: run the network on encrypted images"
$sotto infer "$work/server/net.plan" --eval-key "$work/server/eval.key" --in "$work/server/in.sotto" --out "$work/server/out.sotto"
echo "== 7/7 client: decrypt"
cp "$work/server/out.sotto" "$work/client/"
$sotto decrypt "$work/client/net.client" --keys "$work/client/keys" --in "$work/client/out.sotto" --csv "$work/labels.csv" --sheet "$work/sheet.png"
echo "Labels: $work/labels.csv   Picture: $work/sheet.png"
