# The gateway with the built page. Context: the root of the project.
FROM node:24.11.0-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web/ ./
RUN npm run build -- --logLevel warn

FROM python:3.11.13-slim-bookworm AS packages
WORKDIR /source
COPY requirements/gateway.txt requirements/
# --no-deps: the lock is complete, and silero-vad's metadata would pull in PyTorch, which is never imported.
RUN python -m venv /opt/parley \
    && /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r requirements/gateway.txt
COPY pyproject.toml README.md LICENSE ./
COPY parley/ parley/
COPY gateway/ gateway/
RUN /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11.13-slim-bookworm
# /scratch, a volume, is for large temporary files; a new volume takes over whose it is.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install -d -o parley -g parley /scratch
COPY --from=packages /opt/parley /opt/parley
COPY --from=web /web/dist /srv/web
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PARLEY_DATA=/tmp/parley \
    PARLEY_GATEWAY__HOST=0.0.0.0 \
    PARLEY_GATEWAY__WEB_DIR=/srv/web
USER 10001
WORKDIR /tmp
EXPOSE 8000
# It lives. Whether a session could begin is /readyz, which an engine that is away must not turn into a restart.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["python", "-m", "gateway"]
