# The image of a release: as ../Dockerfile, around a binary that goreleaser has built.
FROM golang:1.26.8 AS certificates

FROM scratch
ARG TARGETPLATFORM
# For brokers that are reached over TLS.
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY $TARGETPLATFORM/delayd /delayd
# Not root, and by number: there is no /etc/passwd here.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/delayd"]
CMD ["serve", "--http", "0.0.0.0:8080"]
