#!/bin/sh
# Puts the submission into a checkout of the suite's workload ml-inference, for the local and the remote mode.
#
# usage: install.sh SUITE [NAME]      NAME: of the submission's folder, as the harness looks for it (default cifar10)
set -eu
[ $# -ge 1 ] || { echo "usage: install.sh SUITE [NAME]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
suite=$1
name=${2:-cifar10}
[ -d "$suite/harness" ] || { echo "install.sh: $suite is no checkout of the suite: it has no folder harness" >&2; exit 2; }
for folder in "$suite/submissions/$name" "$suite/submission_remote/$name"; do
  mkdir -p "$folder"
  cp "$here/README.md" "$here"/submission/*.py "$here/submission/requirements.txt" "$folder"
  for stage in server_get_params client_key_generation server_upload_ek server_preprocess_model client_preprocess_input \
               client_encode_encrypt_input server_encrypted_compute client_decrypt_decode client_postprocess; do
    ln -sf stage.py "$folder/$stage.py"
  done
done
mkdir -p "$suite/scripts"
cp "$here"/scripts/*.sh "$suite/scripts"
