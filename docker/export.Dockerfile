# syntax=docker/dockerfile:1
# What exports encoders and builds TensorRT plans, on the GPU that will serve them: the chart's plans Job runs it.
# Build from the repository's root: docker build -f docker/export.Dockerfile -t vitrine/export:0.1.0 .
# Its base is that of the Triton image: a plan is read by the TensorRT that built it alone. export_check.py refuses a base
# whose TensorRT is not the one whose bindings docker/requirements/export.in pins, and says which it has.
# A release is built on a digest: --build-arg TRITON=nvcr.io/nvidia/tritonserver:26.07-py3@sha256:...
ARG TRITON=nvcr.io/nvidia/tritonserver:26.07-py3
FROM ${TRITON}
ARG TRITON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vitrine/export" \
      org.opencontainers.image.description="What exports the encoders of Vitrine to ONNX and TensorRT" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${TRITON}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY docker/requirements/export.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --break-system-packages -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt
COPY vitrine /opt/vitrine/app/vitrine
COPY catalogue /opt/vitrine/app/catalogue
COPY encoders /opt/vitrine/app/encoders
COPY export /opt/vitrine/app/export
COPY model_repository /opt/vitrine/app/model_repository
COPY docker/export_check.py /opt/vitrine/check.py
# The wheel of the bindings alone has another name than the module.
COPY docker/tensorrt_module.py /opt/vitrine/app/tensorrt.py
# Nothing is written at run time but below the Job's own volumes.
ENV PYTHONPATH=/opt/vitrine/app \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HF_HUB_OFFLINE=1
RUN python3 /opt/vitrine/check.py
USER 10001:10001
ENTRYPOINT ["python3", "-m", "export"]
