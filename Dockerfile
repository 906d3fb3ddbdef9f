FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt .
# Everything is pinned with its hashes, so there is nothing to resolve.
RUN python -m venv /venv && /venv/bin/pip install --no-deps --require-hashes -r requirements.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 BIND=0.0.0.0 PORT=8000
# A volume that is mounted there the first time belongs to whoever the directory belongs to.
RUN useradd --system --uid 10001 --no-create-home texting && install --directory --owner texting /media
WORKDIR /srv
COPY --from=build /venv /venv
COPY . .
RUN python -m compileall -q .
USER texting
EXPOSE 8000
# For the web process; sender and worker, which serve nothing, switch it off in docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os, sys; web = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); web.request('GET', '/healthz'); sys.exit(web.getresponse().status >= 500)"]
CMD ["gunicorn", "proxy_project.wsgi"]
