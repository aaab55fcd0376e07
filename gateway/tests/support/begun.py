"""An IPv6 echo request whose checksum is only begun, as a guest hands it over (VIRTIO 1.2, 5.1.6.2), wherever that is said to be.

begun.py DEVICE GATEWAY-MAC FROM TO START OFFSET    says `answered`, `silent`, or `refused` when this kernel takes no such frame
"""
import socket, struct, sys, time

device, gateway, source, to, start, offset = sys.argv[1:7]
PACKET_VNET_HDR, SOL_PACKET, NEEDS_CSUM, ECHO, REPLY, ICMPV6 = 15, 263, 1, 128, 129, 58
source, to = (socket.inet_pton(socket.AF_INET6, one) for one in (source, to))

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
wire.bind((device, 0x86DD))
wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
own = wire.getsockname()[4]

mark = struct.pack(">HH", int(time.time()) & 0xFFFF, time.time_ns() & 0xFFFF)
rest = mark + b"begun and not finished"
words = source + to + struct.pack(">IxxxB", 4 + len(rest), ICMPV6)
pseudo = sum(struct.unpack(f">{len(words) // 2}H", words))
while pseudo > 0xFFFF:
    pseudo = (pseudo >> 16) + (pseudo & 0xFFFF)
message = struct.pack(">BBH", ECHO, 0, pseudo) + rest
ip = struct.pack(">IHBB", 6 << 28, len(message), ICMPV6, 64) + source + to
frame = bytes.fromhex(gateway.replace(":", "")) + own + b"\x86\xdd" + ip + message
try:
    wire.send(struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, int(start), int(offset)) + frame)
except OSError:
    sys.exit(print("refused"))
wire.settimeout(0.1)
until = time.time() + 1
while time.time() < until:
    try:
        seen = wire.recv(2048)[10:]
    except TimeoutError:
        continue
    if seen[54:55] == bytes([REPLY]) and seen[58:62] == mark:
        sys.exit(print("answered"))
print("silent")
