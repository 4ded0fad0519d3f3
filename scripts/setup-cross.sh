#!/usr/bin/env bash
# Prepares a private toolchain for the targets that `cargo xtask cross` checks and tests from a Linux x86-64 host:
#
#   x86_64-pc-windows-gnu       built, and run by wine
#   aarch64-unknown-linux-gnu   built, and run by qemu
#   aarch64-apple-darwin        checked
#   x86_64-pc-windows-msvc      checked
#
# It is for machines where `rustup target add` cannot reach its server: everything comes from the distribution's packages. A second
# Rust compiler, with the sources of the standard library, is unpacked into DIR and builds std for each target on first use.
# Nothing of it lands in the system's PATH and no installed Rust is touched; the linkers, wine and qemu are ordinary packages.
#
#   usage: scripts/setup-cross.sh [DIR]      (DIR: $MP_CROSS_DIR, or ~/.cache/mp-cross)
#
# Each part is skipped when it is already there, so running it again is cheap; env.sh is written last and means "ready".
# Exit code 3 means that this machine cannot be set up this way, and says why. Anything else but 0 is a failure.
# Needs Debian 12 or a relative that has the packages below, root, and about 3 GB.
set -euo pipefail

say() { printf 'setup-cross: %s\n' "$*"; }
cannot() { say "cannot set up here: $*"; exit 3; }

dir=${1:-${MP_CROSS_DIR:-$HOME/.cache/mp-cross}}
case ${1:-} in -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 2;; esac

edition='# edition 2'   # of what is made here
if grep -qsxF "$edition" "$dir/env.sh"; then
    say "ready already: $dir"
    exit 0
fi

# ---- may we, on this machine?
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || cannot "the host must be Linux on x86-64"
command -v apt-get >/dev/null && command -v dpkg >/dev/null || cannot "this is not Debian or Ubuntu"
[ "$(id -u)" = 0 ] || cannot "installing packages needs root (try sudo)"

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
export DEBIAN_FRONTEND=noninteractive

# The packages of that name that Debian packages depend on: the newest Rust here is packaged under changing names.
dependencies() { apt-cache depends "${@:2}" 2>/dev/null | sed -n "s/^ *Depends: \($1\)\$/\1/p" | sort -u; }
find_packages() {
    std=$(dependencies 'libstd-rust-web-[0-9.]*' libstd-rust-web-dev)
    [ -n "$std" ] || return 1
    libraries=$(dependencies 'lib[a-z0-9.+-]*' rustc-web cargo-web rust-web-clippy "$std" | grep -v '^libstd-rust' || true)
}
# Old lists name an old Rust, which may be too old to build this.
apt-get update -qq || say "the package lists cannot be fetched anew (is there a network?)"
find_packages || cannot "the distribution does not have rustc-web, the Rust that this builds on"
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
offered=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
dpkg --compare-versions "$offered" ge "$needed" || cannot "rustc-web is $offered here, and $needed is needed"

# ---- linkers, runners, and the libraries that the second Rust loads
packages=(gcc-mingw-w64-x86-64-posix wine64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user lld)
packages+=($libraries)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
done
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null; }
if [ ${#missing[@]} -gt 0 ]; then
    say "installing: ${missing[*]}"
    install || cannot "packages cannot be installed: ${missing[*]}"
fi
wine=/usr/lib/wine/wine64
[ -x "$wine" ] || cannot "$wine is not where Debian puts it"

# ---- the second Rust, unpacked
rust=$dir/rust
if [ "$(cat "$rust/complete" 2>/dev/null)" != "$offered" ]; then
    say "fetching and unpacking Rust with the sources of its standard library"
    rm -rf "$rust" "$dir/packages"
    mkdir -p "$rust" "$dir/packages"
    cd "$dir/packages"
    download() {
        apt-get download -qq -o APT::Sandbox::User=root rustc-web cargo-web rust-web-clippy rust-web-src libstd-rust-web-dev "$std"
    }
    download || cannot "packages cannot be downloaded"
    cd "$dir"
    for package in "$dir"/packages/*.deb; do
        case $package in
            # of the sources only the library is needed, which is a tenth
            */rust-web-src_*) dpkg --fsys-tarfile "$package" |
                tar -x -C "$rust" --wildcards './usr/src/rustc-*/library' './usr/lib/rustlib/src' ;;
            *) dpkg -x "$package" "$rust" ;;
        esac
    done
    rm -rf "$dir/packages"
    echo "$offered" >"$rust/complete"
fi

# ---- a Windows for wine: version 10, no debugger that pops up on a crash (the exit code would be lost)
export WINEPREFIX=$dir/windows WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' DISPLAY=
system32=$WINEPREFIX/drive_c/windows/system32
if [ ! -e "$WINEPREFIX/complete" ]; then
    say "making a wine prefix"
    rm -rf "$WINEPREFIX"
    in_wine() { "$wine" "$@" </dev/null >/dev/null 2>&1; }
    in_wine wineboot -i
    in_wine winecfg /v win10
    in_wine reg add 'HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug' /v Debugger /t REG_SZ /d '' /f
    # Rust's std takes its random numbers from ProcessPrng, whose DLL wine 8 does not have. This one asks the older RtlGenRandom.
    if [ ! -e "$system32/bcryptprimitives.dll" ]; then
        x86_64-w64-mingw32-gcc -O2 -shared -x c -o "$system32/bcryptprimitives.dll" - -ladvapi32 <<'C'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(UCHAR *buffer, SIZE_T size)
{
    const SIZE_T step = 1u << 20;
    for (SIZE_T done = 0; done < size; done += step) {
        SIZE_T left = size - done;
        if (!RtlGenRandom(buffer + done, (ULONG)(left < step ? left : step)))
            return FALSE;
    }
    return TRUE;
}
C
    fi
    touch "$WINEPREFIX/complete"
fi

# ---- qemu, so that a test can start its own executable: the kernel must know how to run arm64 programs. It is told so in a user
# namespace of our own (Linux 6.7 and later), not for the whole machine.
cat >"$dir/qemu-run.sh" <<'RUN'
#!/bin/sh
unset LD_LIBRARY_PATH
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
# name:type:offset:magic:mask:interpreter:flags, for ELF, 64 bits, little-endian, EM_AARCH64 (183)
ident='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00'
ident_mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff'
MP_BINFMT=":mp-arm64:M::$ident"'\x02\x00\xb7\x00:'"$ident_mask"'\xfe\xff\xff\xff:/usr/bin/qemu-aarch64:OCF'
export MP_BINFMT
exec unshare --user --map-root-user --mount sh -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
    printf "%s" "$MP_BINFMT" >/proc/sys/fs/binfmt_misc/register &&
    unset MP_BINFMT && exec "$@"' sh "$@"
RUN
chmod +x "$dir/qemu-run.sh"

# ---- the environment to build in. Always pass --target in it: the host's std is not to be built.
cat >"$dir/env.new" <<ENV
$edition
export PATH="$rust/usr/bin:\$PATH"
export LD_LIBRARY_PATH="$rust/usr/lib/x86_64-linux-gnu"
export RUSTC_BOOTSTRAP=1
export CARGO_UNSTABLE_BUILD_STD=std,panic_unwind,test
export CARGO_TARGET_DIR="$dir/target"
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
# GNU's own linker takes most of the time of a build of tests.
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS=-Clink-arg=-fuse-ld=lld
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$dir/qemu-run.sh"
export WINEPREFIX="$WINEPREFIX"
export WINEDEBUG=-all
export WINEDLLOVERRIDES='mscoree,mshtml='
export DISPLAY=
ENV
(. "$dir/env.new" && rustc --version && cargo --version)
mv "$dir/env.new" "$dir/env.sh"
say "ready: cargo xtask cross test, or: . $dir/env.sh"
