# Read by every command that runs in the guest. Functions, because ash would run busybox's applets of the same name.
ip() { /tools/ip "$@"; }
tc() { /tools/tc "$@"; }
ping() { /tools/ping "$@"; }
