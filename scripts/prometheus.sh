#!/usr/bin/env bash
# Puts promtool, prometheus, amtool and alertmanager into build/tools/bin, out of the distribution's packages, without
# installing them: an installed one would run as a service. What is on the PATH already is taken as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
into=build/tools/prometheus
mkdir -p build/tools/bin

# get PACKAGE PROGRAM...: the package's programs, unpacked
get() {
    local package=$1 program
    shift
    [ -x "$into/usr/bin/$1" ] && return
    if command -v "$1" >/dev/null; then
        for program; do ln -sf "$(command -v "$program")" "build/tools/bin/${program#prometheus-}"; done
        return
    fi
    echo "prometheus: unpacking the package $package into $into"
    local packages=$into/packages
    mkdir -p "$packages"
    (cd "$packages" && { apt-get -q download "$package" || { sudo -n apt-get -q update && apt-get -q download "$package"; }; }) \
        >>build/packages.log 2>&1 || { echo "prometheus: apt-get did not download $package, see build/packages.log" >&2; exit 1; }
    dpkg-deb -x "$packages/${package}"_*.deb "$into"
    for program; do ln -sf "../prometheus/usr/bin/$program" "build/tools/bin/${program#prometheus-}"; done
}
get prometheus promtool prometheus
get prometheus-alertmanager amtool prometheus-alertmanager
