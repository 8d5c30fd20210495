#!/bin/sh
# Resolves each image's packages, within the pins of requirements/serve.txt, into a list with hashes.
set -eu
cd "$(dirname "$0")"
# tokenizers asks for what downloads from a hub; no image does.
left_out=$(printf -- '--no-emit-package %s ' huggingface-hub hf-xet httpx2 httpcore2 truststore tqdm fsspec filelock)
for image in gateway:3.11 rewriter:3.11 tools:3.11 build:3.11 triton:3.12; do
    name=${image%%:*}
    # shellcheck disable=SC2086 - several options
    ../../.venv/bin/uv pip compile -q $left_out --python-version "${image##*:}" --python-platform x86_64-manylinux_2_36 \
        --generate-hashes --no-emit-index-url --custom-compile-command docker/requirements/lock.sh \
        "$name.in" -o "$name.txt"
done
