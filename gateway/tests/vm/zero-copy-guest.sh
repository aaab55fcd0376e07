# What zero-copy.sh runs in the guest, as its only program: two sites with a gateway each, all of whose ports are AF_XDP sockets on real drivers,
#   h-a - lan1 gw-a ch1, ch2 = ch1, ch2 gw-b lan1 - h-b
# and one line for each thing that was tried. Lines that begin with `@` are for QEMU's monitor.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/q TMPDIR=/run/q LC_ALL=C
mkdir -p -m 700 /run/q /run/netns && cd /run/q || exit 1
mkdir -p /dev/shm /dev/pts
failed=0

main() {
    until ls /dev/vport*p1 >/dev/null 2>&1; do sleep 0.1; done
    exec 3<>"$(echo /dev/vport*p1)"
    read -r card kernel version quadspan <&3
    local driver=virtio_net
    [ "$card" = igb ] && driver=igb
    for module in "$driver" tun veth; do modprobe -d "$kernel" -S "$version" "$module"; done
    lay_out
    umask 077
    for site in 1 2; do for channel in 1 2; do key "$site$channel" >"$site-$channel.sak"; done; done
    configure 1500
    gateway 1 && gateway 2
    say "Linux $version, $driver, $(nproc) processors, receive queues: $(queues gw-a ch1)"
    check "hosts reach each other" reach 60
    say "ports: $(rings)"
    check "all ports are zero-copy" all_are zero-copy
    try_frames
    try_links
    try_lives
    try_jumbo
    check "the kernel has nothing to complain of" contented
    echo "@end $failed" >&3
    sleep 5
}

say() { echo "   $*" >&3; }

# check WHAT COMMAND...: runs it, and says so.
check() {
    local what=$1 text
    shift
    if text=$("$@" 2>&1); then text="ok   $what${text:+: $text}"; else
        failed=1 text="FAIL $what${text:+: $text}"
    fi
    echo "$text" | tr '\n' ' ' >&3
    echo >&3
    [ "${text%% *}" = ok ] || explain
}

contented() { ! dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|blocked for more'; }

# After a failure: how both gateways are.
explain() {
    for site in 1 2; do
        for what in channels ports drops; do show $site $what; done
        tail -n 5 $site.log
    done 2>&1 | cut -c 1-200 | sed 's/^/   | /' >&3
}

# Site, channel: 64 hex digits.
key() { printf "%064d" 0 | tr 0 "${1:0:1}" | sed "s/^./${1:1}/"; }

in_() { ip netns exec "$@"; }
show() { timeout 60 "$quadspan" show "$2" -s "/run/q/$1.sock"; }
queues() { in_ "$1" sh -c "ls -d /sys/class/net/$2/queues/rx-* | wc -l"; }

lay_out() {
    for node in h-a gw-a gw-b h-b; do ip netns add $node && ip -n $node link set lo up; done
    for wire in 1 2; do put $wire 1 gw-a ch$wire && put $wire 2 gw-b ch$wire; done
    put 3 1 h-a eth0 && put 3 2 gw-a lan1
    put 4 1 h-b eth0 && put 4 2 gw-b lan1
    ip -n h-a address add 10.1.0.2/24 dev eth0 && ip -n h-a route add default via 10.1.0.1
    ip -n h-b address add 10.2.0.2/24 dev eth0 && ip -n h-b route add default via 10.2.0.1
}

# put WIRE END NODE NAME: the card of that MAC address goes to a namespace, under that name.
put() {
    local device
    device=$(grep -l "^02:00:00:00:0$1:0$2$" /sys/class/net/*/address | cut -d/ -f5)
    [ -n "$device" ] || return
    ip link set "$device" netns "$3"
    ip -n "$3" link set "$device" name "$4"
    # A LAN's AF_XDP port wants tags and checksums in the frames.
    in_ "$3" ethtool -K "$4" rxvlan off txvlan off tx off gro off >/dev/null 2>&1
    in_ "$3" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$4/disable_ipv6"
    [ "${4#ch}" = "$4" ] || ip -n "$3" link set "$4" mtu "$(channel_mtu 1500)"
    ip -n "$3" link set "$4" up
}

channel_mtu() { echo $(($1 + 100)); }

# configure MTU: both sites' files. 1 MiB for waiting frames is 256 chunks: all of them go round often.
configure() {
    local own far channel
    for own in 1 2; do
        far=$((3 - own))
        {
            printf 'schema = 1\n[site]\nname = "site-%s"\n[runtime]\nstate_dir = "/run/q/state-%s"\nsocket = "/run/q/%s.sock"\n' $own $own $own
            printf '[[interconnect]]\nname = "x"\n[[port]]\nname = "lan"\ndevice = "lan1"\nio = "af_xdp"\noffload = false\nring_kib = 1024\n'
            for channel in 1 2; do channel $own $far $channel; done
            printf '[[connection]]\nname = "blue"\ninterconnect = "x"\n'
            printf '[[connection.lan]]\nport = "lan"\naddress = ["10.%s.0.1/24"]\nmtu = %s\n' $own "$1"
            for channel in 1 2; do
                printf '[[connection.attachment]]\nchannel = "ch%s"\npreference = %s\nvlan = 100\nmtu = %s\naddress = ["169.254.%s.%s/30"]\npeer = ["169.254.%s.%s"]\n' \
                    $channel $((200 - channel)) "$1" $channel $own $channel $far
            done
            printf '[[connection.route]]\nprefix = "10.%s.0.0/24"\nvia = "attachments"\n' $far
        } >$own.toml
    done
}

channel() {
    printf '[[port]]\nname = "p%s"\ndevice = "ch%s"\nio = "af_xdp"\nring_kib = 1024\n' "$3" "$3"
    printf '[[channel]]\nname = "ch%s"\ninterconnect = "x"\nport = "p%s"\n[channel.macsec]\ncipher = "gcm-aes-xpn-256"\nreplay_window = 64\n' "$3" "$3"
    printf '[[channel.macsec.static.tx]]\nan = 0\nkey = { file = "%s-%s.sak" }\nsalt = "0102030405060708090a0b0c"\nssci = %s\n' "$1" "$3" "$1"
    printf '[[channel.macsec.static.rx]]\nsci = "020000000%s0%s:0001"\nan = 0\nkey = { file = "%s-%s.sak" }\nsalt = "0102030405060708090a0b0c"\nssci = %s\n' \
        "$3" "$2" "$2" "$3" "$2"
}

# gateway SITE: starts it.
gateway() {
    local node=gw-a
    [ "$1" = 1 ] || node=gw-b
    (exec 3>&- && exec setsid ip netns exec $node "$quadspan" run -c "$1.toml" >>"$1.log" 2>&1 </dev/null) &
    until_true 60 answers "$1"
}

answers() { show "$1" ports >/dev/null 2>&1; }

until_true() {
    local tries=$(($1 * 4))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.25
    done
}

reach() { until_true "${1:-30}" arrives; }
arrives() { in_ h-a ping -n -c 1 -W 2 10.2.0.2 >/dev/null && in_ h-b ping -n -c 1 -W 2 10.1.0.2 >/dev/null; }

# Device and ring of each port, both sites.
rings() {
    for site in 1 2; do
        show $site ports | awk 'NR == 1 { from = index($0, " IO") + 1; to = index($0, " VNET") } NR > 1 { print $2, substr($0, from, to - from) }' | tr -s ' ' | paste -sd,
    done | paste -sd,
}
all_are() { [ "$(rings | grep -o "af_xdp $1" | wc -l)" = 6 ] || { rings; return 1; }; }

ping_all() { # NODE ADDRESS COUNT INTERVAL OCTETS
    in_ "$1" ping -n -q -M do -W 5 -c "$3" -i "$4" -s "$5" "$2" | awk -v want="$3" '/received/ { if ($4 != want) bad = $0 } END { if (bad) { print bad; exit 1 } }'
}

try_frames() {
    for octets in 18 56 900 1000 1472; do
        check "$octets octets from a to b" ping_all h-a 10.2.0.2 30 0.05 $octets
        check "$octets octets from b to a" ping_all h-b 10.1.0.2 30 0.05 $octets
    done
    check "a frame alone leaves at once, 20 times" ping_all h-a 10.2.0.2 20 0.3 56
    check "TCP from a to b" flow ""
    check "TCP from b to a" flow "-R"
    check "UDP, far more than it can carry" flow "-u -b 300M -l 1000"
    check "small UDP, far more than it can carry" flow "-u -b 30M -l 64"
    check "all is as before afterwards" ping_all h-a 10.2.0.2 50 0.1 1472
    check "chunks went round" rounds
}

flow() {
    in_ h-b timeout 60 iperf3 -s -1 >/dev/null 2>&1 3>&- &
    sleep 1
    # shellcheck disable=SC2086
    in_ h-a timeout 60 iperf3 -c 10.2.0.2 -t 5 $1 | awk '/receiver/ { print $5, $6, $7, $8; if ($5 > 0) good = 1 } END { exit !good }'
}

rounds() { show 1 ports | awk '$1 ~ /^p/ { print $2 ":", "received", $(NF - 5), "frames, sent", $(NF - 2) }' | paste -sd,; }

try_links() {
    check "ch1 down at a: traffic goes on" down_and_reach
    ip -n gw-a link set ch1 up
    check "ch1 up again" until_true 30 lives ch1
    check "with ch1 alone" alone ch2
    check "MTU of ch1 changed under way" mtu_there_and_back
    [ "$card" = igb ] && check "no carrier on ch1 while frames are sent" without_carrier
    check "all ports are zero-copy" all_are zero-copy
    check "no frame is lost then" ping_all h-a 10.2.0.2 30 0.1 1000
}

lives() { show 1 channels | awk -v name="$1" '$1 == name && $2 == "live" { good = 1 } END { exit !good }'; }
down_and_reach() { ip -n gw-a link set ch1 down && ip -n gw-b link set ch1 down && sleep 2 && reach && ip -n gw-b link set ch1 up; }

alone() {
    for node in gw-a gw-b; do ip -n $node link set "$1" down; done
    sleep 3
    reach && ping_all h-a 10.2.0.2 20 0.1 1000
    local result=$?
    for node in gw-a gw-b; do ip -n $node link set "$1" up; done
    until_true 30 lives "$1" && return $result
}

mtu_there_and_back() {
    ip -n gw-a link set ch1 mtu 1700 && until_true 20 lives ch1 && reach && ip -n gw-a link set ch1 mtu 1600 && until_true 20 lives ch1 && reach
}

without_carrier() {
    in_ h-a ping -n -q -i 0.01 -c 1000 10.2.0.2 >/dev/null 2>&1 3>&- &
    local pings=$!
    echo "@set_link card-1-1 off" >&3
    sleep 5
    echo "@set_link card-1-2 off" >&3
    sleep 3
    reach
    local result=$?
    echo "@set_link card-1-1 on" >&3
    echo "@set_link card-1-2 on" >&3
    wait $pings
    until_true 30 lives ch1 && return $result
}

try_lives() {
    check "killed" kill_a
    check "started again" gateway 1
    check "hosts reach each other" reach 60
    check "all ports are zero-copy" all_are zero-copy
    check "restart" timeout 120 "$quadspan" restart -s /run/q/1.sock
    check "hosts reach each other" reach 60
    check "all ports are zero-copy again" until_true 60 all_are zero-copy
    check "ch2 pulled out: traffic goes on" pull
    check "ch2 plugged in: it is zero-copy again" plug
    check "no frame is lost then" ping_all h-a 10.2.0.2 30 0.1 1472
}

# stop SIGNAL NODE...: ends their gateways; one that has cards to let go of takes some seconds.
stop() {
    local signal=$1 node pid
    shift
    for node in "$@"; do
        for pid in $(ip netns pids "$node"); do
            grep -q quadspan "/proc/$pid/comm" && kill "-$signal" "$pid" && until_true 60 ended "$pid"
        done
    done
}

# Not when its first thread is: the others hold its files until they are gone.
ended() { [ ! -e "/proc/$1" ]; }
kill_a() { stop KILL gw-a && until_true 10 no_program; }
no_program() { ! ip -n gw-a link show dev ch1 | grep -q xdp; }

pull() {
    slot=$(in_ gw-a readlink -f /sys/class/net/ch2/device | grep -o '[0-9a-f:]*\.[0-9]\(/virtio[0-9]*\)*$' | cut -d/ -f1)
    echo 1 >"/sys/bus/pci/devices/$slot/remove" && sleep 2 && reach
}

plug() {
    echo 1 >/sys/bus/pci/rescan
    until_true 20 is_back && put 2 1 gw-a ch2 && until_true 60 all_are zero-copy && until_true 30 lives ch2
}

is_back() { grep -q "^02:00:00:00:02:01$" /sys/class/net/*/address; }

# Which way is left for frames that do not fit a chunk is the driver's; they must cross.
try_jumbo() {
    stop TERM gw-a gw-b
    for mtu in 3000 9000; do
        for end in h-a:eth0 gw-a:lan1 gw-b:lan1 h-b:eth0; do ip -n ${end%:*} link set ${end#*:} mtu $mtu; done
        for end in gw-a:ch1 gw-a:ch2 gw-b:ch1 gw-b:ch2; do ip -n ${end%:*} link set ${end#*:} mtu "$(channel_mtu $mtu)"; done
        configure $mtu
        gateway 1 && gateway 2
        check "MTU $mtu: hosts reach each other" reach 60
        say "ports: $(rings)"
        for octets in 56 1472 2000 $((mtu - 28)); do check "MTU $mtu, $octets octets" ping_all h-a 10.2.0.2 10 0.1 $octets; done
        check "MTU $mtu, TCP" flow ""
        stop TERM gw-a gw-b
    done
}

main
