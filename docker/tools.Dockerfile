# syntax=docker/dockerfile:1
# The command line, which the chart's index job runs.
# Build from the repository's root: docker build -f docker/tools.Dockerfile -t vitrine/tools:0.1.0 .
# A release is built on a digest: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:...
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON} AS packages
COPY docker/requirements/tools.txt /tmp/requirements.txt
RUN python -m venv --without-pip /opt/vitrine/venv \
    && pip --python /opt/vitrine/venv install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt
# Installed, so that the commands of the catalogue's room find their way into the command line; built by a setuptools
# that is pinned like everything else, and that stays behind.
COPY docker/requirements/build.txt /tmp/build.txt
COPY vitrine /opt/vitrine/app/vitrine
COPY catalogue /opt/vitrine/app/catalogue
COPY pyproject.toml /opt/vitrine/app/pyproject.toml
COPY README.md /opt/vitrine/app/README.md
RUN python -m venv /opt/vitrine/build \
    && /opt/vitrine/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/build.txt \
    && /opt/vitrine/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheels /opt/vitrine/app \
    && pip --python /opt/vitrine/venv install --no-cache-dir --no-deps --no-index /tmp/wheels/*.whl

FROM ${PYTHON}
ARG PYTHON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vitrine/tools" \
      org.opencontainers.image.description="The command line of Vitrine, which indexes catalogues and checks a service" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/vitrine/venv /opt/vitrine/venv
# Nothing is written at run time: the root file system is read-only.
ENV PATH=/opt/vitrine/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
ENTRYPOINT ["vitrine"]
