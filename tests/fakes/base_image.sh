#!/bin/sh
# tests/fakes/base_image.sh FILE [SUITE]: writes the root of a base image as a tar file, from Debian's packages alone.
# A stand-in for python:3.13-slim, which lies in a registry that not every machine can reach: the same Debian (trixie)
# and the same version of Python, with what the Dockerfile relies on where the real one has it: python in /usr/local/bin,
# pip beside it and in /usr/local/lib, ensurepip. The real one's Python is compiled on its own, and has other patches;
# an image that is shipped is built on the real one.
# Needs root and mmdebstrap, which mounts nothing outside of a namespace of its own.
set -eu
file=$1
suite=${2:-trixie}
slim=""
for path in doc man locale info lintian; do slim="$slim --dpkgopt=path-exclude=/usr/share/$path/*"; done
# shellcheck disable=SC2086,SC2016 # words; $1 is the hook's own
exec mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates,netbase,tzdata,python3,python3-venv $slim \
    --customize-hook='chroot "$1" python3 -m venv /usr/local' \
    --customize-hook='ln -sf pip3 "$1"/usr/local/bin/pip' \
    --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/etc/resolv.conf "$1"/etc/hostname' \
    "$suite" "$file"
