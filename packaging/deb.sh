#!/usr/bin/env bash
# Makes a Debian package of a program that is built already, with nothing but dpkg-deb.
#
# packaging/deb.sh PROGRAM FOLDER: the package is written into the folder, and its path is printed.
# DEB_VERSION=0.1.0-2 gives it another version than that of the workspace, DEB_COMPRESSION=none saves time.
set -euo pipefail
program=$(realpath "$1")
folder=$(realpath "$2")
cd "$(dirname "$0")/.."

fail() { echo "packaging/deb.sh: $*" >&2; exit 1; }
command -v dpkg-deb >/dev/null 2>&1 || fail "dpkg-deb is missing; the package dpkg has it"
[ -x "$program" ] || fail "$program is no program; make deb builds one"

release=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# What comes before a release sorts before it.
version=${DEB_VERSION:-${release/-/\~}-1}
architecture=$(dpkg --print-architecture)
# The same sources make the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
chmod 755 "$root"
put() { install -D -m "$1" "$2" "$root/$3"; }
put_packed() { install -d "$root/$(dirname "$2")" && gzip -9n <"$1" >"$root/$2.gz"; }
documents=usr/share/doc/outpost

put 755 "$program" usr/bin/outpost
# What stands in the program for a debugger is most of it. Without binutils the package is large, and right.
command -v strip >/dev/null 2>&1 && strip --remove-section=.comment --remove-section=.note "$root/usr/bin/outpost"
put 644 packaging/outpost.service usr/lib/systemd/system/outpost.service
put 644 packaging/outpost.socket usr/lib/systemd/system/outpost.socket
put 644 packaging/outpost.toml etc/outpost/outpost.toml
put 644 packaging/debian/lintian-overrides usr/share/lintian/overrides/outpost
put_packed packaging/outpost.1 usr/share/man/man1/outpost.1
put_packed CHANGELOG.md $documents/changelog
for document in manual clients plugins; do
    put_packed docs/$document.md $documents/$document.md
done
put 644 docs/outpost.sample.toml $documents/examples/outpost.sample.toml
put 644 packaging/debian/copyright $documents/copyright
{
    echo "outpost ($version) unstable; urgency=medium"
    echo
    echo "  * Release $release; what is new stands in changelog.gz."
    echo
    echo " -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -R -u -d "@$SOURCE_DATE_EPOCH")"
} >"$root/changelog"
put_packed "$root/changelog" $documents/changelog.Debian
rm "$root/changelog"

# The libraries that are linked into the program, and what their authors ask to be passed on.
licences() {
    local sources name version
    sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
    cargo tree --offline --locked --package outpost --edges normal --prefix none --format '{p} {l}' |
        grep -v ' (/' | sed 's/ (\*)$//' | sort -u |
        while read -r name version licence; do
            printf '=== %s %s: %s\n' "$name" "${version#v}" "$licence"
            find "$sources"/*/"$name-${version#v}" -maxdepth 1 -type f \
                \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) 2>/dev/null |
                sort | xargs -r -d '\n' cat
        done
}
if command -v cargo >/dev/null 2>&1 && licences >"$root/licences" 2>/dev/null; then
    put_packed "$root/licences" $documents/libraries
else
    echo "packaging/deb.sh: without cargo the licences of the libraries are left out" >&2
fi
rm -f "$root/licences"

# Symbols of the C library carry the version that they came with; the newest is the least that is needed.
libc=$(grep -aoE 'GLIBC_2\.[0-9]+' "$root/usr/bin/outpost" | sort -uV | tail -n 1)
depends="adduser, libc6 (>= ${libc#GLIBC_})"
grep -aqF libgcc_s.so.1 "$root/usr/bin/outpost" && depends="$depends, libgcc-s1"

control=$root/DEBIAN
install -d "$control"
size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$size/" \
    -e "s/@DEPENDS@/$depends/" packaging/debian/control >"$control/control"
echo /etc/outpost/outpost.toml >"$control/conffiles"
for script in postinst prerm postrm; do
    put 755 "packaging/debian/$script" "DEBIAN/$script"
done
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$folder/outpost_${version}_${architecture}.deb
dpkg-deb --root-owner-group -Z"${DEB_COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
