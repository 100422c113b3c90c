# The rag service: search. Context: the root of the project. With EXTRA_INDEX an index that gives PyTorch's build for
# processors, the image is some gigabytes smaller: PyPI's for x86-64 asks for the libraries of GPUs.
FROM python:3.11.13-slim-bookworm AS packages
ARG EXTRA_INDEX=
WORKDIR /source
COPY requirements/rag.txt requirements/
COPY scripts/complete-torch scripts/
RUN export PIP_EXTRA_INDEX_URL="$EXTRA_INDEX" \
    && python -m venv /opt/parley \
    && /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r requirements/rag.txt \
    && scripts/complete-torch /opt/parley/bin
COPY pyproject.toml README.md LICENSE ./
COPY parley/ parley/
COPY rag/ rag/
RUN /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11.13-slim-bookworm
# Models that the hub is asked for are kept in /data, a volume.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install -d -o parley -g parley /data
COPY --from=packages /opt/parley /opt/parley
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PARLEY_DATA=/data \
    HF_HOME=/data/hub \
    PARLEY_RAG__HOST=0.0.0.0
USER 10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8002
# It lives, also while it loads its model: gateways ask /readyz for the rest.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8002/healthz', timeout=3)"]
CMD ["python", "-m", "rag"]
