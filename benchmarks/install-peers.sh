#!/usr/bin/env bash
# Installs Prosody and ejabberd from Debian's packages for the comparison, their drivers for SQLite and PostgreSQL,
# and PostgreSQL, and leaves no service of theirs running: the benchmarks start their own processes with their own
# configuration.
set -euo pipefail

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

wanted=(
  prosody lua-dbi-sqlite3 lua-dbi-postgresql
  ejabberd erlang-p1-sqlite3 erlang-p1-pgsql
  postgresql
)
is_installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${wanted[@]}"; do is_installed "$package" || missing+=("$package"); done
if [ ${#missing[@]} = 0 ]; then
  echo "Prosody, ejabberd and what they need are installed."
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "This needs apt-get; on other systems install ${missing[*]} yourself, and stop their services." >&2
  exit 1
fi

# Debian asks policy-rc.d before it starts a service; 101 means no. One that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'as_root rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
fi
apt=(apt-get --quiet --quiet --option DPkg::Lock::Timeout=600)
as_root "${apt[@]}" update
as_root env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
# The packages switch their services on for the next start of the machine, too.
if command -v systemctl >/dev/null; then
  for service in prosody ejabberd postgresql; do
    case " ${missing[*]} " in *" $service "*) as_root systemctl --quiet disable "$service" || true ;; esac
  done
fi
