#!/bin/sh
# Makes what is missing in /secrets: the one-shot `secrets` of docker-compose.yml. What is there stays; a password given in .env
# counts at the first start only, because PostgreSQL's volume keeps the one it was made with.
set -eu
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
umask 027
cd /secrets

# keep FILE: standard input becomes FILE, at once, unless it is there; readable by the services' common group.
keep() {
    [ ! -s "$1" ] || return 0
    cat >"$1.new"
    chmod 0440 "$1.new"
    mv "$1.new" "$1"
}

chmod 0755 db redis tls
echo "${DB_PASSWORD:-$(openssl rand -hex 24)}" | keep db/password
echo "${REDIS_PASSWORD:-$(openssl rand -hex 24)}" | keep redis/password
password=$(cat redis/password)
echo "redis://:$password@redis:6379/0" | keep redis/url
printf 'requirepass %s\ndir /data\nappendonly yes\nmaxmemory 64mb\nmaxmemory-policy allkeys-lru\n' "$password" |
    keep redis/valkey.conf

# A year and a bit, for this machine only; deleting the volume `tls` makes a new one.
if [ ! -s tls/certificate.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 397 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout tls/key.new -out tls/certificate.new 2>/dev/null
    chmod 0440 tls/key.new tls/certificate.new
    mv tls/key.new tls/key.pem
    mv tls/certificate.new tls/certificate.pem
fi

# Where HTTP callers are sent: this port is the outer one, which only .env knows.
port=":$HTTPS_PORT"
[ "$HTTPS_PORT" != 443 ] || port=
echo "return 308 https://\$host$port\$request_uri;" >tls/redirect.conf
