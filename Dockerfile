# The image that ships: the static binary, the authorities' certificates, the list of what is inside and its licences; no
# shell, no root.
# `docker build .` works by itself; `make image` adds the labels that only Git knows.
#
# The layers go from what changes seldom to what changes often, and any builder's cache keeps them. There is no
# `RUN --mount=type=cache`, so that the classic builder works as well as BuildKit.

FROM debian:trixie-20260803-slim AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src

# The compiler and the archives to link with, from Debian's signed index.
COPY scripts/packages.sh scripts/static_libs.sh scripts/
RUN scripts/packages.sh static image && scripts/static_libs.sh

# The sources that Debian has no archive of, and the files of /docs.
COPY versions.lock ./
COPY scripts/sources.py scripts/docs_assets.py scripts/
RUN scripts/sources.py && scripts/docs_assets.py build/deps/docs

# RELEASE=1 insists on versions.lock. REVISION and SOURCE_DATE_EPOCH are the commit's name and time, in seconds.
ARG RELEASE=0
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
COPY . .
RUN make -j"$(nproc)" static

# One tree, copied whole below. The bundle is the package's own list, without what this machine may have added to it; every
# time is the commit's, so that two builds give the same bytes.
RUN install -D -m 0555 build/static/payflow /out/payflow \
    && find /usr/share/ca-certificates/mozilla -name '*.crt' -print0 | LC_ALL=C sort -z | xargs -0 cat >/tmp/bundle \
    && install -D -m 0444 /tmp/bundle /out/etc/ssl/certs/ca-certificates.crt \
    && scripts/sbom.py --certificates /out/etc/ssl/certs/ca-certificates.crt >/tmp/sbom \
    && install -m 0444 /tmp/sbom /out/sbom.cdx.json \
    && install -m 0444 LICENSE NOTICE /out/ \
    && find /out -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

FROM scratch
COPY --from=build /out/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# nobody's number in no passwd file: a name could not be looked up here, and Kubernetes' runAsNonRoot wants a number.
USER 65532:65532
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/payflow", "healthcheck"]
ENTRYPOINT ["/payflow"]
CMD ["serve"]

# Last, so that a new commit's labels build nothing anew.
ARG VERSION=1.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="PayFlow" \
      org.opencontainers.image.description="A payment API in one static binary: durable, idempotent, exact" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.authors="The PayFlow maintainers" \
      org.opencontainers.image.vendor="PayFlow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="$SOURCE" \
      maintainer="The PayFlow maintainers"
