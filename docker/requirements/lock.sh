#!/bin/sh
# Resolves each image's packages, within the pins of requirements/serve.txt, into a list with hashes.
set -eu
cd "$(dirname "$0")"
# tokenizers asks for what downloads from a hub; no image does.
left_out=$(printf -- '--no-emit-package %s ' huggingface-hub hf-xet httpx2 httpcore2 truststore tqdm fsspec filelock)
# What CTranslate2 asks for to convert models is not needed to run them.
converting=$(printf -- '--no-emit-package %s ' setuptools pyyaml packaging)
for image in gateway:3.11 rewriter:3.11 speech:3.11 storefront:3.11 tools:3.11 build:3.11 triton:3.12 export:3.12; do
    name=${image%%:*}
    case $name in
    # faster-whisper imports the two, and does without the rest.
    speech) without=$(echo "$left_out" | sed 's/--no-emit-package huggingface-hub //; s/--no-emit-package tqdm //')$converting ;;
    # Nothing is left out: transformers imports the hub's package, and torch the rest.
    export) without= ;;
    *) without=$left_out ;;
    esac
    # shellcheck disable=SC2086 - several options
    ../../.venv/bin/uv pip compile -q $without --python-version "${image##*:}" --python-platform x86_64-manylinux_2_36 \
        --generate-hashes --no-emit-index-url --custom-compile-command docker/requirements/lock.sh \
        "$name.in" -o "$name.txt"
done
