# The gateway's image: three stages, the last of which has no shell, no package manager and no root.
#
#   builder   compiles the gateway, fetches ONNX Runtime, writes licences and the bill of materials
#   binaries  exactly the files that are added to the base; `--build-context binaries=FOLDER` puts others in their place
#   runtime   the base with those files
#
# `scripts/image_build.py` calls this with the arguments below filled in; docs/image.md says what is in the result.
# Both images are pinned by digest: a tag may point to something else tomorrow.
ARG RUST_IMAGE=docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM ${RUST_IMAGE} AS builder
# Debian keeps one version of a package per release, so a pinned one would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip binutils zlib1g \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG VARIANT=cpu
# The caches outlive the build and do not become part of it: a second build compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    --mount=type=cache,target=/source/.deps \
    cargo build --release --locked --package tidegate-gateway \
    && python3 scripts/image_root.py --binary target/release/tidegate --into /image --variant "${VARIANT}"

# Nothing but what the runtime takes, so taking all of it is the point.
FROM scratch AS binaries
COPY --from=builder /image /

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS runtime
# hadolint ignore=DL3067
COPY --from=binaries / /

# The loader looks into no cache here, and the provider for CUDA finds its neighbours in no other way.
ENV LD_LIBRARY_PATH=/usr/local/lib \
    ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so \
    MODEL_BASE_PATH=/models \
    TIDEGATE_STATE=/var/lib/tidegate \
    TIDEGATE_DATA_ADDRESS=0.0.0.0:8500,0.0.0.0:8501 \
    TIDEGATE_ADMIN_ADDRESS=0.0.0.0:8502

# By number, so that `runAsNonRoot` can be checked without the image's passwd.
USER 65532:65532
WORKDIR /
EXPOSE 8500 8501 8502
# No VOLUME: an anonymous one would hide that /var/lib/tidegate was not mounted, and lose what was written to it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/tidegate", "probe"]
ENTRYPOINT ["/usr/local/bin/tidegate"]
CMD ["serve"]

ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="Tidegate" \
    org.opencontainers.image.description="A dynamic-batching inference gateway for ONNX models" \
    org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
    org.opencontainers.image.documentation="https://github.com/tidegate/tidegate/blob/main/docs/image.md" \
    org.opencontainers.image.vendor="The Tidegate authors" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
