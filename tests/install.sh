#!/usr/bin/env bash
# Installs what the tests need beside Rust: the mail clients and servers that they drive, and the
# compiler that builds WebAssembly components. Where it cannot, it names what is missing: on other
# systems than Debian, and for users who may not install anything.
set -euo pipefail
cd "$(dirname "$0")"

# command:package pairs.
commands=(swaks:swaks curl:curl openssl:openssl msmtp:msmtp python3:python3 smtp-sink:postfix node:nodejs npm:npm strace:strace chromium:chromium chromedriver:chromium-driver)
# What builds the components where rustup has no wasm32-unknown-unknown target installed.
compiler=(rustc-web cargo-web rust-web-src rust-web-llvm lld-22)
# What compiles the example in C (24 MB): with it its bytes are compared, without it its sources are.
c_compiler=(clang-22 libclang-rt-22-dev-wasm32 wasi-libc lld-22)

has_command() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
has_target() { rustup target list --installed 2>/dev/null | grep -qx wasm32-unknown-unknown; }
say() { echo "tests/install.sh: $*" >&2; }

root=()
# Postfix asks how it should be set up; the tests bring their own configuration.
install() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

tools=()
for pair in "${commands[@]}"; do
    has_command "${pair%%:*}" || tools+=("${pair##*:}")
done
# Debian has apart what makes an environment.
python3 -c 'import ensurepip, venv' 2>/dev/null || tools+=(python3-venv)
# swaks needs it for TLS.
perl -MNet::SSLeay -e 1 2>/dev/null || tools+=(libnet-ssleay-perl)

if ! command -v apt-get >/dev/null 2>&1; then
    has_target || tools+=("wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)")
    if [ ${#tools[@]} -gt 0 ]; then
        say "the tests need these, please install them: ${tools[*]}"
        exit 1
    fi
fi

builders=() wished=()
if command -v apt-get >/dev/null 2>&1; then
    for package in "${compiler[@]}"; do
        has_target || is_installed "$package" || builders+=("$package")
    done
    # libsasl2-modules: Postfix logs in with it. PHP: the console shows an example in it.
    for package in "${c_compiler[@]}" libsasl2-modules php-cli libphp-phpmailer; do
        is_installed "$package" || wished+=("$package")
    done
fi

if [ $((${#tools[@]} + ${#builders[@]} + ${#wished[@]})) -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null 2>&1; then
            root=(sudo)
        elif [ $((${#tools[@]} + ${#builders[@]})) -gt 0 ]; then
            say "only root can install what the tests need; as root: apt-get install ${tools[*]} ${builders[*]}"
            exit 1
        fi
    fi
    if [ "$(id -u)" = 0 ] || [ ${#root[@]} -gt 0 ]; then
        echo "installing for the tests: ${tools[*]} ${builders[*]} ${wished[*]}"
        "${root[@]}" apt-get update -qq || say "the lists of packages could not be renewed; trying with the old ones"
        if [ ${#tools[@]} -gt 0 ] && ! install "${tools[@]}"; then
            say "these could not be installed: ${tools[*]}"
            exit 1
        fi
        if [ ${#builders[@]} -gt 0 ] && ! install "${builders[@]}"; then
            say "going on with rustup, without ${builders[*]}"
            if ! rustup target add wasm32-unknown-unknown; then
                say "there is no compiler for components: rustup target add wasm32-unknown-unknown, or ${compiler[*]}"
                exit 1
            fi
        fi
        [ ${#wished[@]} = 0 ] || install "${wished[@]}" || say "going on without ${wished[*]}"
    else
        say "going on without ${wished[*]}"
    fi
fi

# Exim and OpenSMTPD. Debian installs one mail server at a time, and that is Postfix: these two are unpacked
# into the build folder and run from there. Their tests say that they show nothing where they are missing.
peers="${CARGO_TARGET_DIR:-../target}/peers"
has_libraries() { ! ldd "$1" | grep -q 'not found'; }
unpack_peer() {
    local program=$1 package=$2 packed needed=() library
    local unpacked="$peers/usr/sbin/$program"
    ! has_command "$program" || return 0
    [ ! -x "$unpacked" ] || ! has_libraries "$unpacked" || return 0
    command -v apt-get >/dev/null 2>&1 && mkdir -p "$peers" || return 1
    (cd "$peers" && apt-get download -qq "$package" >/dev/null 2>&1) || return 1
    for packed in "$peers/$package"_*.deb; do
        [ -f "$packed" ] && dpkg -x "$packed" "$peers" || return 1
        # Its libraries, where something else has not brought them already.
        ! has_libraries "$unpacked" || return 0
        for library in $(dpkg-deb -f "$packed" Depends | grep -o 'lib[a-z0-9.+-]*'); do
            is_installed "$library" || needed+=("$library")
        done
        install "${needed[@]}" && has_libraries "$unpacked" && return 0
        # What cannot start is not there: the tests would take it for a peer.
        rm -f "$unpacked"
        return 1
    done
}
for pair in exim4:exim4-daemon-light smtpd:opensmtpd; do
    unpack_peer "${pair%%:*}" "${pair##*:}" || say "going on without ${pair##*:}"
done

# Nodemailer, the mail client of Node, and axe, which finds what keeps people from using a page, in the build folder.
# Both are asked for together: npm takes away what it is not asked for.
folder="${CARGO_TARGET_DIR:-../target}/node"
if [ ! -d "$folder/node_modules/nodemailer" ] || [ ! -d "$folder/node_modules/axe-core" ]; then
    mkdir -p "$folder"
    if ! npm install --loglevel=error --no-save --no-package-lock --no-audit --no-fund \
        --prefix "$folder" nodemailer@7 axe-core@4.14.1 >/dev/null; then
        say "Nodemailer and axe cannot be fetched by npm; their tests need them in $folder"
        exit 1
    fi
fi

# schemathesis, which asks the whole admin API, in an environment of its own in the build folder. Every package of it is
# known by its digest; what changes there makes it anew.
requirements=schemathesis/requirements.txt
environment="${CARGO_TARGET_DIR:-../target}/python"
if ! cmp -s "$requirements" "$environment/requirements.txt"; then
    if ! { python3 -m venv --clear "$environment" &&
        "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$requirements"; }; then
        say "schemathesis cannot be fetched by pip; its test needs it in $environment"
        exit 1
    fi
    cp "$requirements" "$environment/requirements.txt"
fi
