# The exporter. docs/image.md says what is in it and how it is run, pinned and built for several kinds of processor.
#   docker build -t unitcost .
#   docker run --rm -p 127.0.0.1:9488:9488 unitcost serve --sample

# A tag moves: a release gives the digest that it was built on, --build-arg BASE=python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
# Every package is the one that requirements/ has the hash of, and a wheel, so that nothing is compiled.
ENV PIP_REQUIRE_HASHES=1 PIP_ONLY_BINARY=:all: PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.txt requirements/image.txt requirements/
RUN python -m venv --without-pip /opt/unitcost \
    && python -m pip --python /opt/unitcost install --no-compile -r requirements/image.txt \
    && python -m pip install -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter/unitcost exporter/unitcost
# Compiled here, as nothing can be written where it runs; sources and their times are not compared again there.
RUN PIP_REQUIRE_HASHES=0 python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && PIP_REQUIRE_HASHES=0 python -m pip --python /opt/unitcost install --no-compile --no-deps dist/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/unitcost/lib

FROM ${BASE}
# What installs packages or changes the user is of no use to it, and of some to who breaks in. Python's own modules come
# without their compiled forms, which each start and each check of its health would make again.
# A number and not a name: Kubernetes' runAsNonRoot can only check a number. The state of a named volume that is
# mounted here belongs to it.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && rm -f /usr/local/bin/pip \
    && python -c 'import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])' \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && install -d -o 10001 -g 10001 /var/lib/unitcost
COPY --from=build /opt/unitcost /opt/unitcost
ENV PATH=/opt/unitcost/bin:$PATH HOME=/var/lib/unitcost PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/unitcost
USER 10001:10001
EXPOSE 9488
# Knows port and TLS from /etc/unitcost/unitcost.yaml, and needs no password. For a configuration elsewhere, or
# --listen, give it the same arguments: docker run --health-cmd "unitcost healthy --config …".
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["unitcost", "healthy"]
ENTRYPOINT ["unitcost"]
CMD ["serve", "--config", "/etc/unitcost/unitcost.yaml"]
ARG BASE
ARG VERSION=local
LABEL org.opencontainers.image.title="unitcost" \
    org.opencontainers.image.description="What each customer, request and AI token costs, as Prometheus metrics" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.base.name="${BASE}"
