# syntax=docker/dockerfile:1
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/bartizan
ENV PATH="/opt/bartizan/bin:$PATH"
COPY pyproject.toml constraints.txt README.md ./
COPY detectors detectors
COPY actions actions
COPY app app
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt .

FROM python:3.12-slim-bookworm
RUN groupadd --system --gid 10001 bartizan \
    && useradd --system --uid 10001 --gid bartizan --home-dir /data --shell /usr/sbin/nologin bartizan \
    && install --directory --owner=bartizan --group=bartizan --mode=0700 /data
COPY --from=build /opt/bartizan /opt/bartizan
COPY policy.yaml /etc/bartizan/policy.yaml
ENV PATH="/opt/bartizan/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    BARTIZAN_HOST=0.0.0.0 \
    BARTIZAN_PORT=8000 \
    BARTIZAN_DATA_DIR=/data \
    BARTIZAN_POLICY=/etc/bartizan/policy.yaml
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['BARTIZAN_PORT']}/livez\", timeout=2)"]
ENTRYPOINT ["bartizan"]
CMD ["serve"]
