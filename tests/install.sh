#!/usr/bin/env bash
# Installs what the tests need beside Rust: the mail clients and servers that they drive, and the
# compiler that builds WebAssembly components. On other systems than Debian it names what is missing.
set -euo pipefail
cd "$(dirname "$0")"

# command:package pairs. rustc-web and its companions build the components where rustup has no
# wasm32-unknown-unknown target installed.
commands=(swaks:swaks curl:curl openssl:openssl msmtp:msmtp python3:python3 smtp-sink:postfix node:nodejs npm:npm strace:strace)
has_command() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing=()
for pair in "${commands[@]}"; do
    has_command "${pair%%:*}" || missing+=("${pair##*:}")
done
# swaks needs it for TLS.
perl -MNet::SSLeay -e 1 2>/dev/null || missing+=(libnet-ssleay-perl)
if ! rustup target list --installed 2>/dev/null | grep -qx wasm32-unknown-unknown; then
    if command -v dpkg-query >/dev/null 2>&1; then
        for package in rustc-web cargo-web rust-web-src rust-web-llvm lld-22; do
            dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
        done
    else
        missing+=("wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)")
    fi
fi

if [ ${#missing[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null 2>&1; then
        sudo=""
        [ "$(id -u)" = 0 ] || sudo="sudo"
        echo "installing for the tests: ${missing[*]}"
        # Postfix asks how it should be set up; the tests bring their own configuration.
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "the tests need these, please install them: ${missing[*]}" >&2
        exit 1
    fi
fi

# Nodemailer, the mail client of Node, in the build folder.
folder="${CARGO_TARGET_DIR:-../target}/node"
if [ ! -d "$folder/node_modules/nodemailer" ]; then
    mkdir -p "$folder"
    npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$folder" nodemailer@7
fi
