#!/usr/bin/env bash
# Tries AF_XDP without copies: boots a new kernel on emulated network cards whose drivers can do it, runs two gateways there, and
# says what works. For people, not for CI: it needs a kernel that no stable distribution ships, and takes some minutes.
#
#   zero-copy.sh KERNEL [virtio|igb]
#
#   KERNEL   a folder into which packages of a kernel were unpacked (`dpkg-deb -x`): Debian's `linux-image-VERSION-amd64`, or, since 7.0,
#            `linux-binary-...`, `linux-modules-...` and `linux-base-...`. virtio_net has zero-copy since Linux 6.12, igb since 6.14.
#            `depmod` writes its lists there.
#   virtio   (default) virtio-net cards behind an emulated IOMMU's interface, without which the driver copies
#   igb      Intel 82576 cards: QEMU 8.0 and later
#
#   QEMU=qemu-system-x86_64    another QEMU; QEMU_ARGS="-L FOLDER" is added, for one that is not installed
#   QUADSPAN=target/debug/quadspan     the gateway to try
#
# Needs busybox (static), cpio, kmod, ip, ethtool, ping, iperf3 and QEMU, and no privileges. The guest's files are this machine's, read-only (9p); all
# cards are joined by hubs inside QEMU, so nothing is made on this machine's network. The emulation is software: what it shows is what works, not how fast
# a card is.
#
# Exit status: 0 all works, 1 something does not, 2 wrong words, 3 this machine lacks something.
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
readonly lacking=3

main() {
    [ $# -ge 1 ] && [ $# -le 2 ] && [ -d "$1" ] || { sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | grep '^#' | cut -c3- >&2; exit 2; }
    kernel=$(cd "$1" && pwd)
    card=${2:-virtio}
    case $card in virtio | igb) ;; *) echo "no card is called $card" >&2; exit 2 ;; esac
    quadspan=$(readlink -f "${QUADSPAN:-$here/../../../target/debug/quadspan}") && [ -x "$quadspan" ] || lack "no gateway: cargo build, or QUADSPAN=FILE"
    for program in busybox cpio depmod modprobe ip ethtool ping iperf3 "${QEMU:-qemu-system-x86_64}"; do
        command -v "$program" >/dev/null || lack "$program is missing"
    done
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    find_kernel
    pack
    run
}

lack() { echo "$*" >&2; exit $lacking; }

# Where its parts are differs from package to package.
find_kernel() {
    local modules
    modules=$(find "$kernel" -path '*lib/modules/*/kernel' -type d | head -n 1)
    [ -n "$modules" ] || lack "$kernel has no lib/modules/VERSION/kernel"
    modules=${modules%/kernel}
    version=${modules##*/}
    base=${modules%/lib/modules/*}
    image=$(find "$kernel" -name "vmlinuz*" -type f | head -n 1)
    [ -n "$image" ] || lack "$kernel has no vmlinuz"
    depmod -b "$base" "$version" 2>/dev/null
}

# As little as it takes to mount this machine's files; all else comes from there.
pack() {
    local root=$work/root number=100 module
    mkdir -p "$root"/{bin,dev,proc,sys,modules,host}
    cp "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    # What is built in has no file, and says so.
    for module in virtio_pci virtio_console 9pnet_virtio 9p; do
        modprobe -d "$base" -S "$version" --show-depends "$module" 2>/dev/null || true
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/order"
    while read -r module; do
        case $module in *.xz) xz -dc "$module" ;; *) cat "$module" ;; esac >"$root/modules/$number.ko"
        number=$((number + 1))
    done <"$work/order"
    cat >"$root/init" <<'INIT'
#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev && mount -t proc proc /proc && mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod "$module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose host /host || poweroff -f
for folder in dev proc sys; do mount --move "/$folder" "/host/$folder"; done
mount -t tmpfs run /host/run
script=$(sed 's/.*script=\([^ ]*\).*/\1/' /host/proc/cmdline)
chroot /host /bin/bash "$script" >/host/dev/ttyS0 2>&1
poweroff -f
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --quiet --create --format=newc --owner=0:0) >"$work/initramfs"
}

run() {
    # Wires: channels 1 and 2, the LANs of site a and b.
    local arguments=() wire
    for wire in 1 2 3 4; do arguments+=($(cards "$wire")); done
    mkfifo "$work/monitor.in" "$work/monitor.out" "$work/line.in" "$work/line.out"
    # shellcheck disable=SC2086
    "${QEMU:-qemu-system-x86_64}" ${QEMU_ARGS:-} -machine q35 -accel tcg,thread=multi -cpu max -m 1536 -smp 2 -nodefaults -no-user-config -no-reboot \
        -display none -kernel "$image" -initrd "$work/initramfs" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off script=$here/zero-copy-guest.sh" \
        -serial "file:$work/console" -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor \
        -chardev "pipe,id=line,path=$work/line" -device virtio-serial-pci -device virtserialport,chardev=line \
        -fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap" -device virtio-9p-pci,fsdev=host,mount_tag=host \
        "${arguments[@]}" 2>"$work/qemu" &
    qemu=$!
    trap 'kill $qemu 2>/dev/null || true; rm -rf "$work"' EXIT
    exec 4<>"$work/monitor.in" 5<>"$work/line.in" 6<>"$work/monitor.out" 3<"$work/line.out"
    echo "$card $base $version $quadspan" >&5
    local words failed=1
    # The guest writes what people want to read, and `@` lines for QEMU's monitor.
    while read -r words <&3; do
        case $words in
            @end*) failed=${words#@end }; break ;;
            @*) echo "${words#@}" >&4 ;;
            *) echo "$words" ;;
        esac
    done
    [ "$failed" = 0 ] || { echo "-- the guest's console and QEMU:" >&2; tail -n 60 "$work/console" "$work/qemu" >&2; exit 1; }
}

# The two ends of a wire: a hub inside QEMU with two cards. Their MAC addresses end in the wire's number and the end's.
cards() {
    local end device
    case $card in
        virtio) device=virtio-net-pci,disable-legacy=on,iommu_platform=on ;;
        igb) device=igb ;;
    esac
    for end in 1 2; do
        echo "-device pcie-root-port,id=port-$1-$end,chassis=$1$end"
        echo "-netdev hubport,id=net-$1-$end,hubid=$1"
        echo "-device $device,id=card-$1-$end,netdev=net-$1-$end,mac=02:00:00:00:0$1:0$end,romfile=,bus=port-$1-$end"
    done
}

main "$@"
