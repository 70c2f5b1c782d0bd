#!/bin/sh
# Installs mote from the folder that this script is in: picks the binary for this machine, holds
# it against SHA256SUMS, and runs `mote install` with the arguments given here. No network.
#
#   sudo MOTE_API_KEY=... sh install.sh --server-url https://hub.example.com
#   sh install.sh --dry-run
set -eu

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ "$(uname -s)" = Linux ] || fail "mote is for Linux, this is $(uname -s)"

case $(uname -m) in
x86_64 | amd64) architectures=x86_64 ;;
aarch64 | arm64) architectures=aarch64 ;;
# A kernel that says armv8l runs 32-bit programs here.
armv7* | armv8l) architectures='armv7 arm' ;;
armv6* | armv5*) architectures=arm ;;
riscv64) architectures=riscv64gc ;;
*) fail "there is no mote for the machine $(uname -m)" ;;
esac

binary=
for architecture in $architectures; do
	for abi in musl musleabihf musleabi; do
		name=mote-$architecture-unknown-linux-$abi
		if [ -z "$binary" ] && [ -f "$folder/$name" ]; then
			binary=$name
		fi
	done
done
[ -n "$binary" ] || fail "no binary for $(uname -m) beside this script, in $folder"

[ -f "$folder/SHA256SUMS" ] || fail "SHA256SUMS is missing beside this script, in $folder"
command -v sha256sum >/dev/null || fail "no program sha256sum: install coreutils or busybox"
# One line: 64 digits, a space, a space or a star, the name, also as ./name; whatever ends lines.
expected=$(tr -d '\r' <"$folder/SHA256SUMS" |
	sed -n "s/^\([0-9a-fA-F]\{64\}\) [ *]\(\.\/\)\{0,1\}$binary\$/\1/p")
[ ${#expected} -eq 64 ] || fail "SHA256SUMS has not one good line for $binary"
found=$(sha256sum <"$folder/$binary")
found=${found%% *}
[ "$(echo "$expected" | tr A-F a-f)" = "$found" ] ||
	fail "$binary is not the file that SHA256SUMS names: copy it again"

# The folder may be on a stick that nothing can be run from, or lack the permission.
if [ -x "$folder/$binary" ] && "$folder/$binary" version >/dev/null 2>&1; then
	exec "$folder/$binary" install "$@"
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp "$folder/$binary" "$copy/mote"
chmod 0755 "$copy/mote"
"$copy/mote" install "$@"
