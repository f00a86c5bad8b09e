# The toolchain of go.work; a test compares the two.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY . .
# What "delayd version" prints: the repository, which would say it, is not copied.
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" .
ARG VERSION
# No cgo: the binary is static and needs nothing from the image below. Modules and compiled
# packages stay cached from one build to the next.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=$VERSION" -o /delayd ./cmd/delayd

FROM scratch
# For brokers that are reached over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /delayd /delayd
# Not root, and by number: there is no /etc/passwd here.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/delayd"]
CMD ["serve", "--http", "0.0.0.0:8080"]
