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
is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
for pair in "${commands[@]}"; do
    has_command "${pair%%:*}" || missing+=("${pair##*:}")
done
# swaks needs it for TLS.
perl -MNet::SSLeay -e 1 2>/dev/null || missing+=(libnet-ssleay-perl)
if ! rustup target list --installed 2>/dev/null | grep -qx wasm32-unknown-unknown; then
    if command -v dpkg-query >/dev/null 2>&1; then
        for package in rustc-web cargo-web rust-web-src rust-web-llvm lld-22; do
            is_installed "$package" || missing+=("$package")
        done
    else
        missing+=("wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)")
    fi
fi

# What compiles the example in C (24 MB): with it its bytes are compared, without it its sources are.
wished=()
if command -v apt-get >/dev/null 2>&1; then
    for package in clang-22 libclang-rt-22-dev-wasm32 wasi-libc lld-22; do
        is_installed "$package" || wished+=("$package")
    done
fi

if [ $((${#missing[@]} + ${#wished[@]})) -gt 0 ]; then
    if command -v apt-get >/dev/null 2>&1; then
        sudo=""
        [ "$(id -u)" = 0 ] || sudo="sudo"
        echo "installing for the tests: ${missing[*]} ${wished[*]}"
        # Postfix asks how it should be set up; the tests bring their own configuration.
        $sudo apt-get update -qq
        install="env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"
        [ ${#missing[@]} = 0 ] || $sudo $install "${missing[@]}" >/dev/null
        [ ${#wished[@]} = 0 ] || $sudo $install "${wished[@]}" >/dev/null ||
            echo "going on without ${wished[*]}" >&2
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
