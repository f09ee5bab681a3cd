# The image that GitLab jobs name: the static binary, a shell to run it, and nothing
# that needs updating. Names are in full so that builders without short names work.

# The compiler runs on the machine that builds, whatever the target: no emulation.
# The version is go.mod's.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8 AS build
WORKDIR /src
# First what changes seldom: the modules stay cached until go.mod does.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /rollstep .

# The runner starts `sh` and feeds it the job's script; what cancels a job uses ls,
# sleep, cat, sed, grep and awk. Static, hence the musl flavour.
FROM docker.io/library/busybox:1.37.0-musl
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /rollstep /usr/local/bin/rollstep
# Any UID may run it (OpenShift, `image:docker:user`), and /root belongs to root.
ENV HOME=/tmp
# No ENTRYPOINT: a job would have to undo it. No USER: the runner's other containers
# share the checkout, and write it as root.
CMD ["rollstep", "help"]

ARG VERSION=dev
ARG REVISION
LABEL org.opencontainers.image.title="rollstep" \
      org.opencontainers.image.description="Canary rollouts on Kubernetes, step by step, from GitLab CI jobs" \
      org.opencontainers.image.url="https://gitlab.com/rollstep/rollstep" \
      org.opencontainers.image.source="https://gitlab.com/rollstep/rollstep" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
