#!/bin/sh
# Search from a shell, with neither protos nor generated code: the service describes itself (gRPC reflection).
#   examples/shell/search.sh "red floral midi dress"
# Needs `buf` (make setup-test installs it in .venv/bin; npm has it as @bufbuild/buf). grpcurl takes the same JSON:
#   grpcurl -plaintext -d '{"text": "red floral midi dress"}' 127.0.0.1:7700 vitrine.v1.SearchService/Search
set -eu
address=${VITRINE_ADDRESS:-127.0.0.1:7700}
words=${*:-red floral midi dress}

# The words as a JSON string: control characters become spaces, a backslash and a quote get a backslash before them.
text=$(printf '%s' "$words" | tr '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g')

exec buf curl --protocol grpc --http2-prior-knowledge --timeout 10s \
    "http://$address/vitrine.v1.SearchService/Search" \
    -d "{\"text\": \"$text\", \"limit\": 5, \"fields\": \"title,price\"}"
