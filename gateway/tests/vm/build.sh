#!/usr/bin/env bash
# Builds the machine that the interop tests boot: a stock Debian kernel and an initramfs with iproute2, iperf3,
# tcpdump and wpa_supplicant, in which `macsec.ko` is a MACsec peer that none of our own code had a hand in.
#
#   build.sh OUTDIR      leaves OUTDIR/vmlinuz and OUTDIR/initramfs.img
#
# Idempotent: OUTDIR/stamp names the kernel version, these scripts and the host's tools, and nothing is done while
# it fits. Safe to call from several tests at once. The kernel package is downloaded and unpacked, never installed.
# Missing packages are installed when we are root, unless QUADSPAN_NO_INSTALL=1.
#
# Exit status: 0 built (or was), 3 this machine lacks something (standard error says what), 1 anything else.
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly lacking=3
readonly packages="qemu-system-x86 busybox-static cpio kmod iproute2 iputils-ping iperf3 tcpdump wpasupplicant ethtool"
# Kernel modules, with what they depend on: the NIC and the agent's line, MACsec with fast AES, and what sits on top.
readonly modules="virtio_pci virtio_net virtio_console aesni_intel ghash_clmulni_intel cmac ccm gcm macsec 8021q veth bridge vxlan bonding sch_ingress cls_matchall act_mirred"
# Host programs that travel into the guest with the libraries they need.
readonly programs="ip tc bridge ping iperf3 tcpdump wpa_supplicant wpa_cli ethtool"
PATH=$PATH:/usr/sbin:/sbin

main() {
    [ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 2; }
    mkdir -p "$1"
    out=$(cd "$1" && pwd)
    exec 9>"$out/lock"
    flock 9
    # Consoles of guests whose test was killed.
    find "$out" -name 'console-*.log' -mtime +0 -delete

    install_missing
    if [ ! -e "$out/vmlinuz" ] || [ ! -e "$out/initramfs.img" ] || [ "$(fingerprint)" != "$(cat "$out/stamp" 2>/dev/null)" ]; then
        work=$(mktemp -d "$out/work.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        rm -f "$out/stamp"
        unpack_kernel
        lay_out_root
        pack
        fingerprint >"$out/stamp"
        echo "built $out from $(kernel_package)" >&2
    fi
}

# What is missing is installed or named; a machine that is not Debian is told so.
install_missing() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || lack "this is not a Debian machine (no apt-get)"
    [ "$(uname -m)" = x86_64 ] || lack "the guest kernel is for x86_64, this is $(uname -m)"
    local missing=()
    for package in $packages; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] && [ "${QUADSPAN_NO_INSTALL:-0}" != 1 ] || lack "packages are missing: ${missing[*]}"
    refresh_lists
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2 </dev/null
}

lack() { echo "$*" >&2; exit $lacking; }

# `linux-image-cloud-amd64` is an empty package that depends on the newest kernel.
# Says nothing when apt has no lists.
kernel_package() {
    { apt-cache depends linux-image-cloud-amd64 2>/dev/null || true; } |
        sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

refresh_lists() { [ "$(id -u)" = 0 ] && apt-get update -qq >&2 </dev/null; }

fingerprint() {
    local kernel
    kernel=$(kernel_package)
    # Without package lists the kernel that was built last is as good as any.
    [ -n "$kernel" ] || kernel=$(sed -n 's/^kernel //p' "$out/stamp" 2>/dev/null || true)
    echo "kernel $kernel"
    echo "scripts $(cat "$here"/build.sh "$here"/init "$here"/guest.sh | sha256sum | cut -c1-16)"
    echo "tools $(dpkg-query -W -f='${Package} ${Version}\n' $packages | sha256sum | cut -c1-16)"
}

unpack_kernel() {
    [ -n "$(kernel_package)" ] || refresh_lists || true
    local package
    package=$(kernel_package)
    [ -n "$package" ] || lack "apt knows no linux-image-cloud-amd64 (are the package lists there? try: apt-get update)"
    mkdir "$work/download" "$work/kernel"
    (cd "$work/download" && fetch "$package") || lack "could not download $package"
    dpkg-deb --fsys-tarfile "$work"/download/*.deb | tar -x -C "$work/kernel"
    version=$(ls "$work/kernel/lib/modules")
    depmod -b "$work/kernel" "$version"
}

# Package lists that are a day old name a kernel that the archive has replaced: once more with fresh ones.
fetch() { apt_download "$1" || { refresh_lists && apt_download "$(kernel_package)"; }; }
apt_download() { apt-get -qq -o APT::Sandbox::User= download "$1" >&2 </dev/null; }

lay_out_root() {
    root=$work/root
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,etc,root,var,tools,modules}
    ln -s /run "$root/var/run"
    cp "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    install -m 755 "$here/init" "$root/init"
    install -m 644 "$here/guest.sh" "$root/etc/guest.sh"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    # ash finds its own applets before PATH, and busybox has an `ip` and a `ping` too: a folder of their own, and a
    # shell function for each (guest.sh), keep the real ones in front.
    for program in $programs; do add_program "$program"; done
    add_modules
}

add_program() {
    local path
    path=$(readlink -f "$(command -v "$1")")
    cp "$path" "$root/tools/$1"
    { ldd "$path" || true; } | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        [ -e "$root$library" ] || cp -L "$library" "$root$library"
    done
}

# The files in load order, each once, so that the guest needs no modprobe.
add_modules() {
    local module number=100
    for module in $modules; do
        modprobe -d "$work/kernel" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/load-order"
    while read -r module; do
        cp "$module" "$root/modules/$number-$(basename "$module")"
        number=$((number + 1))
    done <"$work/load-order"
}

pack() {
    (cd "$root" && find . -print0 | sort -z | cpio --quiet --null --create --format=newc --owner=0:0) >"$work/initramfs.img"
    cp "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz"
    mv "$work/initramfs.img" "$out/initramfs.img"
}

main "$@"
