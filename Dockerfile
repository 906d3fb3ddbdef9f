# The image of web, sender and worker. It is the same, byte for byte but for what the base brings, wherever it is built
# from the same commit: requirements.txt pins every package with its hashes, and nothing has the time of the build.
# To pin the base as well: --build-arg BASE=python:3.13-slim@sha256:... (docs/operations.md#images).
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt .
# Everything is pinned with its hashes, so there is nothing to resolve; wheels only, so that nothing is run to build it.
# Compiled files that are told by hashes, since those told by times differ from build to build.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-deps --require-hashes --only-binary :all: --no-compile -r requirements.txt \
    && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib
WORKDIR /srv
COPY . .
RUN python -m compileall -q --invalidation-mode unchecked-hash .

FROM ${BASE}
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 BIND=0.0.0.0 PORT=8000
# A volume that is mounted there the first time belongs to whoever the directory belongs to.
RUN useradd --system --uid 10001 --no-create-home texting && install --directory --owner texting /media /config
COPY --from=build /venv /venv
COPY --from=build /srv /srv
WORKDIR /srv
USER 10001
EXPOSE 8000
# For the web process; docker-compose.yml asks senders and workers for their heartbeat.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os, sys; web = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); web.request('GET', '/healthz'); sys.exit(web.getresponse().status >= 500)"]
CMD ["gunicorn", "proxy_project.asgi"]
