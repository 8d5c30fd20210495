# syntax=docker/dockerfile:1
# Triton with the model repository and what its Python models import.
# First, from the repository's root:
#   python -m export publish --target onnxruntime --out build/model_repository
#   docker build -f docker/triton.Dockerfile -t vitrine/triton:0.1.0 .
# TensorRT plans are built on the GPU that serves them, by docker/export.Dockerfile; the chart mounts them as a claim.
# 26.07 is the oldest release without the known remote holes (CVE-2026-24207 and its kind).
# A release is built on a digest: --build-arg TRITON=nvcr.io/nvidia/tritonserver:26.07-py3@sha256:...
ARG TRITON=nvcr.io/nvidia/tritonserver:26.07-py3
FROM ${TRITON}
ARG TRITON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vitrine/triton" \
      org.opencontainers.image.description="Triton with Vitrine's encoders" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${TRITON}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY docker/requirements/triton.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --break-system-packages -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt
COPY vitrine /opt/vitrine/app/vitrine
COPY docker/triton_probe.py /opt/vitrine/probe.py
COPY build/model_repository /models
# Nothing is written at run time: the root file system and the models are read-only.
ENV PYTHONPATH=/opt/vitrine/app \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
EXPOSE 8001 8002
CMD ["tritonserver", "--model-repository=/models", "--model-control-mode=none", "--allow-http=false"]
