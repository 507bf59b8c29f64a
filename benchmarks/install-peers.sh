#!/usr/bin/env bash
# Installs Prosody and ejabberd from Debian's packages for the comparison, and leaves no service of theirs running:
# the benchmarks start their own processes with their own configuration.
set -euo pipefail

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v prosody >/dev/null || missing+=(prosody)
[ -x /usr/sbin/ejabberdctl ] || missing+=(ejabberd)
if [ ${#missing[@]} = 0 ]; then
  echo "Prosody and ejabberd are installed."
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
  as_root systemctl --quiet disable "${missing[@]}" || true
fi
