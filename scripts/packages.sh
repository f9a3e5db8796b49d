#!/usr/bin/env bash
# Installs the distribution's packages that a goal needs, if any is missing: scripts/packages.sh GOAL...
# Nothing is asked, nothing that is installed is changed, and no service is left running: redis-tools holds the server's
# program without its service, and PostgreSQL gets no cluster of its own.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."

# What each goal needs besides what every Debian has.
build=(gcc git libc6-dev libpq-dev libssl-dev make patch python3 python3-pip python3-yaml xz-utils)
declare -A goals=(
    [build]="${build[*]}"
    [static]="${build[*]} libzstd-dev pkgconf zlib1g-dev"
    [run]="${build[*]} postgresql redis-tools"
    [test]="${build[*]} binutils check file gcovr libsubunit-dev libzstd-dev openssl pkgconf postgresql python3-jsonschema
        python3-psycopg2 python3-pytest redis-tools zlib1g-dev"
    [bench]="${build[*]} nginx-light postgresql python3-psycopg2 redis-tools wrk"
    [image]="ca-certificates"
    [container]="${build[*]} debootstrap docker.io iptables openssl python3-psycopg2 python3-pytest"
    [docs]="${build[*]} chromium chromium-driver curl postgresql python3-psycopg2 python3-pytest redis-tools"
    [contract]="${build[*]} chromium chromium-driver postgresql python3-jsonschema python3-psycopg2 python3-pytest redis-tools"
    [lint]="${build[*]} check cppcheck jq python3-venv shellcheck yamllint"
    [tools]="jq python3 python3-venv"
    [pipeline]="${build[*]} docker-registry jq python3-psycopg2 python3-pytest python3-venv skopeo"
    [rehearsal]="${build[*]} postgresql prometheus python3-psycopg2 python3-pytest"
    [fuzz]="${build[*]} clang libclang-rt-dev"
    [analyze]="${build[*]} clang"
    [chaos]="${build[*]} faketime postgresql python3-psycopg2 redis-tools"
    [slow-clients]="${build[*]} nginx-light openssl postgresql python3-psycopg2 slowhttptest"
    [alerts]="${build[*]} curl jq postgresql prometheus prometheus-alertmanager python3-psycopg2 python3-pytest redis-tools"
    [arm64]="${build[*]} check gcc-aarch64-linux-gnu libc6-dev-arm64-cross libsubunit-dev"
    [infra]="git make postgresql python3 python3-pip python3-psycopg2 python3-pytest python3-venv python3-yaml"
)

# Those of the names that are not installed.
missing() {
    comm -13 <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u) \
        <(printf '%s\n' "$@" | sort -u)
}

wanted=()
for goal in "$@"; do
    if [ -z "${goals[$goal]:-}" ]; then
        echo "packages: no goal is named $goal; there are: ${!goals[*]}" >&2
        exit 64
    fi
    read -ra names <<<"${goals[$goal]//$'\n'/ }"
    wanted+=("${names[@]}")
done

# Servers are found by their program: any version will do, from wherever it was installed.
here=()
! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || here+=(postgresql)
! command -v dockerd >/dev/null || here+=(docker.io)
mapfile -t needed < <(missing "${wanted[@]}" | grep -vxF -f <(printf '%s\n' "${here[@]:-none}"))

install() {
    local root=() conf=/etc/postgresql-common/createcluster.d/payflow.conf
    if [ "$(id -u)" != 0 ]; then
        root=(sudo)
        [ -t 0 ] || root=(sudo -n) # nobody is there to type a password
        if ! command -v sudo >/dev/null || ! "${root[@]}" true; then
            echo "packages: installing needs root; run: apt-get install --no-install-recommends $*" >&2
            exit 77
        fi
    fi
    echo "packages: installing $* (log: build/packages.log)"
    mkdir -p build
    : >build/packages.log
    # Some packages start a service (Prometheus, nginx); here they shall not.
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        policy=
    else
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi
    # A first PostgreSQL would bring a cluster that runs on its own; it shall not either.
    "${root[@]}" mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' | "${root[@]}" tee "$conf" >/dev/null
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    local status=0
    "${root[@]}" "${apt[@]}" update >>build/packages.log 2>&1 </dev/null || status=$?
    "${root[@]}" "${apt[@]}" -o Dpkg::Options::=--force-confold install --no-install-recommends "$@" </dev/null 2>&1 |
        tee -a build/packages.log | sed -unE 's/^(Need to get .*|Fetched .*|Setting up [^ ]+).*/packages:   \1/p' || status=$?
    "${root[@]}" rm -f "$conf" ${policy:+"$policy"}
    if [ -n "$(missing "$@")" ]; then
        echo "packages: apt-get did not install them (exit $status): $(grep '^E:' build/packages.log | tail -n 1)" >&2
        exit 1
    fi
}
[ ${#needed[@]} -eq 0 ] || install "${needed[@]}"

# The server's program lies in redis-tools under another name; it goes by the name it is called with.
if ! command -v redis-server >/dev/null && [ -x /usr/bin/redis-check-rdb ]; then
    mkdir -p build/tools/bin
    ln -sf /usr/bin/redis-check-rdb build/tools/bin/redis-server
fi
