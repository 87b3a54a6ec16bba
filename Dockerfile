# The exporter. docker build -t unitcost . && docker run --rm -p 127.0.0.1:9488:9488 unitcost
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY exporter/unitcost exporter/unitcost
RUN python -m venv /opt/unitcost && /opt/unitcost/bin/pip install --no-cache-dir --disable-pip-version-check '.[azure,gcs]'

FROM ${BASE}
ARG VERSION=local
LABEL org.opencontainers.image.version="${VERSION}"
# A number and not a name: Kubernetes' runAsNonRoot can only check a number. The state of a named volume that is
# mounted here belongs to it.
RUN install -d -o 10001 -g 10001 /var/lib/unitcost
COPY --from=build /opt/unitcost /opt/unitcost
ENV PATH=/opt/unitcost/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /var/lib/unitcost
USER 10001:10001
EXPOSE 9488
# Knows port and TLS from /etc/unitcost/unitcost.yaml, and needs no password. For a configuration elsewhere, or
# --listen, give it the same arguments: docker run --health-cmd "unitcost healthy --config …".
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["unitcost", "healthy"]
ENTRYPOINT ["unitcost"]
CMD ["serve", "--sample"]
