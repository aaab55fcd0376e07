# Read by every command that runs in the guest: the commands that are known to work, as functions.

# ash would run busybox's applets of the same name.
ip() { /tools/ip "$@"; }
tc() { /tools/tc "$@"; }
ping() { /tools/ping "$@"; }

# secy_up NAME=VALUE...: makes `macsec0`, or another, with one transmit and one receive SA under static keys.
#   cipher=     gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256
#   encrypt=    on, or off: integrity only
#   tag=        sci: the SCI in every SecTAG; es: end station bit instead; scb: single copy broadcast bit; none of them
#   sci= peer_sci=      16 hex digits; for es, scb and none both must be the port's MAC address and port 0001
#   an=                 association number of both SAs, 0 to 3
#   tx_key= rx_key=     hex, 32 or 64 digits
#   tx_pn= rx_pn=       next packet number to send, lowest to accept; up to 64 bits with an XPN cipher
#   salt=               XPN only: 24 hex digits
#   ssci= peer_ssci=    XPN only: 8 hex digits, as the standard writes them (most significant first)
#   window=             replay window; `off` (no replay protection) when not given
#   address=            of macsec0, with prefix length
#   link=               what it stands on; eth0 when not given
#   name=               its own; macsec0 when not given
secy_up() {
    local cipher=gcm-aes-128 encrypt=on tag=sci sci= peer_sci= an=0 tx_key= rx_key= tx_pn=1 rx_pn=1 window=off \
        salt=000000000000000000000000 ssci=00000001 peer_ssci=00000002 address= link=eth0 name=macsec0
    local "$@"
    local bits replay tx_sa rx_sa
    case $tag in
        # An explicit `sci` together with `send_sci off` is refused; without one it is MAC address and port 0001.
        sci) bits="sci $sci send_sci on" ;;
        es) bits="send_sci off end_station on" ;;
        scb) bits="send_sci off scb on" ;;
        none) bits="send_sci off" ;;
    esac
    # Off is the default. Saying `replay off` would be refused with an XPN cipher: iproute2 then sends a window of
    # 2^32-1, and XPN has 2^30-1 at most.
    case $window in off) replay= ;; *) replay="replay on window $window" ;; esac
    # Extended packet numbers have their own keyword, and `pn` is refused.
    case $cipher in
        *xpn*)
            tx_sa="xpn $tx_pn salt $salt ssci $ssci"
            rx_sa="xpn $rx_pn salt $salt ssci $peer_ssci"
            ;;
        *)
            tx_sa="pn $tx_pn"
            rx_sa="pn $rx_pn"
            ;;
    esac
    ip link add link "$link" name "$name" type macsec $bits cipher "$cipher" encrypt "$encrypt" encodingsa "$an" $replay &&
        ip macsec add "$name" tx sa "$an" $tx_sa on key 01 "$tx_key" &&
        ip macsec add "$name" rx sci "$peer_sci" on &&
        ip macsec add "$name" rx sci "$peer_sci" sa "$an" $rx_sa on key 02 "$rx_key" &&
        ip link set "$name" up &&
        { [ -z "$address" ] || ip address add "$address" dev "$name"; }
}

secy_down() { ip link del "${1:-macsec0}"; }

# bond_up NAME=VALUE...: makes `lag0` (802.3ad) of two members, each of which ends in `macsec0` or `macsec1`. A macsec device tells no
# speed, and bonding speaks LACP on full-duplex links only: so each member is a veth, whose other end is joined to the macsec device.
#   rate=       fast or slow: how often the peer is asked to speak
#   active=     on or off: whether it speaks first
#   min_links=  members that it needs
#   address=    of lag0, with prefix length
bond_up() {
    local rate=fast active=on min_links=1 address=
    local "$@"
    ip link add lag0 mtu 1468 type bond mode 802.3ad lacp_rate "$rate" lacp_active "$active" min_links "$min_links" miimon 100 \
        xmit_hash_policy layer3+4 || return 1
    for at in 0 1; do
        ip link set "eth$at" promisc on &&
            ip link add "member$at" address "$(cat /sys/class/net/eth$at/address)" mtu 1468 type veth peer name "inner$at" mtu 1468 &&
            join "inner$at" "macsec$at" && join "macsec$at" "inner$at" &&
            ip link set "inner$at" up && ip link set "member$at" master lag0 || return 1
    done
    ip link set lag0 up && ip address add "$address" dev lag0
}

# join FROM TO: what comes in by FROM leaves by TO.
join() {
    tc qdisc add dev "$1" clsact && tc filter add dev "$1" ingress matchall action mirred egress redirect dev "$2"
}

# True when bonding holds `lag0` down, for it has too few members.
bond_silent() { ip link show lag0 | grep -q NO-CARRIER; }

bond_down() { ip link del lag0 && ip link del member0 && ip link del member1; }

# bond_ports N: true when N members carry frames, by the state of their ports (0x3c: Aggregation, Synchronization,
# Collecting, Distributing).
bond_ports() {
    local have
    have=$(awk '/actor lacp pdu/ { actor = 1 } /port state:/ && actor { if (int($3 / 4) % 16 == 15) n++; actor = 0 } END { print n + 0 }' \
        /proc/net/bonding/lag0)
    [ "$have" = "$1" ]
}

# mka_up CKN CAK PRIORITY [LINE]: wpa_supplicant agrees keys on eth0 and makes `macsec0` by itself; LINE goes into its
# network block. Debian 12's version (2.10) offers GCM-AES-128 only; CAKs of 16 and 32 octets both work. Its log is
# /tmp/mka.log.
mka_up() {
    cat >/tmp/mka.conf <<END
ctrl_interface=/run/wpa_supplicant
ap_scan=0
eapol_version=3
network={
    key_mgmt=NONE
    eapol_flags=0
    macsec_policy=1
    mka_ckn=$1
    mka_cak=$2
    mka_priority=$3
    macsec_replay_protect=1
    $4
}
END
    wpa_supplicant -B -D macsec_linux -i eth0 -c /tmp/mka.conf -f /tmp/mka.log -K -dd
}

# To be asked with until_true; `macsec0` is there at once, but carries nothing before this holds.
mka_secured() { wpa_cli -i eth0 status | grep -q '^Secured=Yes'; }

# reach ADDRESS GATEWAY TARGET: gives `macsec0` its address and the way to TARGET's net, and asks TARGET for an answer.
reach() {
    ip link set macsec0 up && { ip address add "$1" dev macsec0 || true; } &&
        ip route replace "${3%.*}.0/24" via "$2" && ping -c 1 -W 1 "$3"
}

# mka_kill: as a power cut would end it; the kernel's half stays behind until it is taken away too.
mka_kill() {
    killall -9 wpa_supplicant && until_true 5 no_wpa && secy_down
    rm -f /run/wpa_supplicant/eth0
}

no_wpa() { ! pidof wpa_supplicant; }

mka_down() {
    wpa_cli -i eth0 terminate && until_true 5 no_macsec0
}

no_macsec0() { ! ip link show macsec0; }

# until_true SECONDS COMMAND...: as often as needed, until it succeeds.
until_true() {
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# counters: what `macsec0` has counted, one `name value` a line: per transmit SC, transmit SA, receive SC and so on,
# in the order iproute2 shows them, each line led by the table it stands in.
counters() {
    ip -s macsec show macsec0 | awk '
        /TXSC:/ { where = "txsc" } /RXSC:/ { where = "rxsc" } /^ *[0-3]: PN/ { where = substr(where, 1, 2) "sa" }
        /stats:/ { for (i = 2; i <= NF; i++) name[i - 1] = $i; n = NF - 1; getline
                   for (i = 1; i <= n; i++) print (where == "txsc" && name[1] == "OutPktsUntagged" ? "secy" : where), name[i], $i }
    '
}
