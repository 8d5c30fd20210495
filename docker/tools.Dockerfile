# syntax=docker/dockerfile:1
# The command line, which the chart's index job runs.
# Build from the repository's root: docker build -f docker/tools.Dockerfile -t vitrine/tools:0.1.0 .
FROM python:3.11-slim-bookworm AS packages
COPY docker/requirements/tools.txt /tmp/requirements.txt
RUN python -m venv /opt/vitrine/venv \
    && /opt/vitrine/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.11-slim-bookworm
COPY --from=packages /opt/vitrine/venv /opt/vitrine/venv
COPY vitrine /opt/vitrine/app/vitrine
COPY catalogue /opt/vitrine/app/catalogue
COPY pyproject.toml /opt/vitrine/app/pyproject.toml
COPY README.md /opt/vitrine/app/README.md
WORKDIR /opt/vitrine/app
# Nothing is written at run time: the root file system is read-only.
ENV PATH=/opt/vitrine/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Installed, so that the commands of the catalogue's room find their way into the command line.
RUN pip install --no-cache-dir --no-deps /opt/vitrine/app \
    && rm -r /opt/vitrine/app
WORKDIR /
USER 10001:10001
ENTRYPOINT ["vitrine"]
