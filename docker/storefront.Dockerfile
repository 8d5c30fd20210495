# syntax=docker/dockerfile:1
# The page for browsers.
# Build from the repository's root: docker build -f docker/storefront.Dockerfile -t vitrine/storefront:0.1.0 .
# A release is built on a digest: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:...
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON} AS packages
COPY docker/requirements/storefront.txt /tmp/requirements.txt
RUN python -m venv --without-pip /opt/vitrine/venv \
    && pip --python /opt/vitrine/venv install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM ${PYTHON}
ARG PYTHON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vitrine/storefront" \
      org.opencontainers.image.description="The page of Vitrine for browsers, in front of its gateway" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/vitrine/venv /opt/vitrine/venv
COPY vitrine /opt/vitrine/app/vitrine
COPY storefront /opt/vitrine/app/storefront
WORKDIR /opt/vitrine/app
# Nothing is written at run time: the root file system is read-only.
ENV PATH=/opt/vitrine/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN python -m compileall -q /opt/vitrine/app
USER 10001:10001
EXPOSE 7730
ENTRYPOINT ["python", "-m", "storefront"]
