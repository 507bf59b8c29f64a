#!/usr/bin/env bash
# Installs what the tests need beside Python: Debian's packages and npm's.
# Quick when everything is there. Without root it says what is missing and goes on: the tests then skip loudly.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'tests/install.sh: %s\n' "$*"; }

missing=()
need() { # need PACKAGE FILE...: the package is missing unless one of the files is there
  local package=$1 file
  shift
  for file in "$@"; do
    [[ -e $file ]] && return
  done
  missing+=("$package")
}
need_command() { # need_command PACKAGE COMMAND
  command -v "$2" >/dev/null || missing+=("$1")
}

need postgresql /usr/lib/postgresql/*/bin/initdb
need mariadb-server /usr/sbin/mariadbd /usr/sbin/mysqld
need nginx /usr/sbin/nginx
need haproxy /usr/sbin/haproxy
need_command caddy caddy
need nftables /usr/sbin/nft
need_command go-sendxmpp go-sendxmpp
need_command profanity-light profanity
need_command systemd systemd-analyze
need_command zsh zsh
need_command prosody prosody
need lua-dbi-sqlite3 /usr/lib/x86_64-linux-gnu/lua/5.*/dbd/sqlite3.so /usr/lib/*/lua/5.*/dbd/sqlite3.so
need_command prometheus promtool
need_command fish fish
need_command nodejs node
need_command npm npm
if [[ ${1:-} == packaging ]]; then # what builds and tries packages and images, which `make test` does not do
  need_command debootstrap debootstrap
  need_command buildah buildah
  need_command lintian lintian
  need_command binutils strip
  need_command systemd-container systemd-nspawn
  need_command iproute2 ip
  need_command golang-go go
fi

if [[ ${1-} == foreign ]]; then # what `make interop` needs beside
  need ejabberd /usr/sbin/ejabberdctl
  need_command golang-go go
  need_command chromium chromium
  need_command gajim gajim
  need_command xvfb Xvfb
  need_command xdotool xdotool
  need_command xclip xclip
  need_command dbus-daemon dbus-daemon
fi

if ((${#missing[@]})); then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]}; install them as root (apt-get install ${missing[*]})"
  else
    say "installing ${missing[*]}"
    # Debian's packages start their services when installed; the harness starts its own on free ports instead.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
      apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
      tail -n 20 "$log"
      say "apt-get failed; the tests that need ${missing[*]} will skip"
    fi
    rm -f "$log"
  fi
fi

pebble=v2.10.3 # an ACME authority, of those who make Let's Encrypt
tools=$PWD/foreign/tools
if [[ ${1-} =~ ^(foreign|packaging)$ && ! -e $tools/pebble-challtestsrv ]]; then
  say "building Pebble $pebble"
  for command in pebble pebble-challtestsrv; do
    GOBIN=$tools go install "github.com/letsencrypt/pebble/v2/cmd/$command@$pebble" ||
      say "go cannot build $command; the tests that need it will fail"
  done
fi

[[ ${1:-} == packaging ]] && exit # these tests run no JavaScript

npm_packages() { # npm_packages FOLDER: what its package-lock.json names
  local stamp=$1/node_modules/.package-lock.json
  [[ -e $stamp && ! $1/package-lock.json -nt $stamp ]] && return
  say "installing the npm packages of tests/$1"
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
  touch "$stamp"
}

if ! command -v npm >/dev/null; then
  say "npm is missing: the JavaScript clients will not be tested"
else
  npm_packages interop
  if [[ ${1-} == foreign ]]; then
    npm_packages foreign/converse
  fi
fi
