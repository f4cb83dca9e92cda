# Two stages: Go builds one static binary, and the image is that binary, CA certificates and nothing else.
FROM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly"

# What changes seldom comes first: the modules, then the compiled libraries. A change of sinker's own sources rebuilds
# neither, with the classic builder as with BuildKit.
COPY go.mod go.sum ./
RUN go mod download
RUN go build \
      github.com/twmb/franz-go/pkg/kadm github.com/twmb/franz-go/plugin/kprom \
      github.com/jackc/pgx/v5/pgxpool github.com/golang-migrate/migrate/v4 github.com/spf13/cobra \
      github.com/prometheus/client_golang/prometheus/promhttp

COPY . .
ARG VERSION=dev
# nodemo: without the Kafka and the Postgres of `sinker demo`.
RUN go build -tags nodemo -ldflags "-s -w -X main.version=${VERSION}" -o /out/sinker ./cmd/sinker

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="sinker" \
      org.opencontainers.image.description="Moves Kafka topics into Postgres tables exactly once" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sinker /sinker
# A number, so that Kubernetes' runAsNonRoot can tell.
USER 65532:65532
# Health, metrics and the status page; 127.0.0.1 inside the container unless the configuration says otherwise.
EXPOSE 8080
# There is no shell and no curl here: the binary asks itself, at the address of SINKER_HTTP or /etc/sinker/sinker.yaml.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/sinker", "ready"]
ENTRYPOINT ["/sinker"]
CMD ["run", "-c", "/etc/sinker/sinker.yaml"]
