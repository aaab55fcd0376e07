"""STAMP (RFC 8762) by its text alone: a sender that checks every field of a reply, and a stateless reflector.

stamp.py probe ADDRESS KEY|-    twenty probes; says what came back
stamp.py reflect ADDRESS KEY|-  until it is ended; identifiers of RFC 8972 are zeros to it
"""
import hashlib, hmac, socket, struct, sys, time

EPOCH = 2208988800
verb, address, key = sys.argv[1:4]
key = None if key == "-" else key.encode()


def now():
    seconds = time.time() + EPOCH
    return struct.pack(">II", int(seconds), int((seconds % 1) * 2**32))


def sealed(packet):
    return packet + hmac.new(key, packet, hashlib.sha256).digest()[:16]


def seconds(stamp):
    whole, part = struct.unpack(">II", stamp)
    return whole - EPOCH + part / 2**32


ERROR = bytes([0x80 | 10, 3])
if verb == "probe":
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    wire.settimeout(2)
    wire.bind((address.rsplit(".", 1)[0] + ".2", 40862))
    for number in range(20):
        sent = now()
        if key:
            probe = sealed(struct.pack(">I12x", number) + sent + ERROR + b"\0\0" + bytes(68))
        else:
            probe = struct.pack(">I", number) + sent + ERROR + b"\0\0" + bytes(28)
        # A longer packet comes back as long (RFC 8762 clause 4.3), an unknown TLV flagged (RFC 8972 clause 4).
        tlv = bytes([0, 201, 0, 4]) + b"abcd" if number % 2 else b""
        wire.sendto(probe + tlv, (address, 862))
        reply, source = wire.recvfrom(2000)
        assert source == (address, 862), source
        assert len(reply) == len(probe) + len(tlv), (len(reply), len(probe))
        assert reply[len(probe):] == (bytes([0x80]) + tlv[1:] if tlv else b""), reply
        if key:
            assert reply[96:112] == hmac.new(key, reply[:96], hashlib.sha256).digest()[:16], "HMAC"
            fields = struct.unpack(">I12x8s2s2s4x8s8xI12x8s2s6xB15x", reply[:96])
        else:
            fields = struct.unpack(">I8s2s2s8sI8s2s2xB3x", reply[:44])
        count, back, error, ssid, received, own, stamp, own_error, ttl = fields
        assert count == number, "stateful: its own count, which is ours while nothing is lost: %d, %d" % (count, number)
        assert (own, stamp, own_error, ssid) == (number, sent, ERROR, b"\0\0"), fields
        assert ttl == 255, ttl
        assert error[1] != 0 and error[0] & 0x40 == 0, "an estimate, and NTP's format"
        assert abs(seconds(received) - time.time()) < 5 and seconds(back) >= seconds(received), fields
    print("20 of 20")
else:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    wire.bind((address, 862))
    while True:
        probe, source = wire.recvfrom(2000)
        received = now()
        if key:
            if len(probe) < 112 or probe[96:112] != hmac.new(key, probe[:96], hashlib.sha256).digest()[:16]:
                continue
            head, stamp, error = probe[:4], probe[16:24], probe[24:26]
            body = head + bytes(12) + now() + ERROR + bytes(6) + received + bytes(8)
            body += head + bytes(12) + stamp + error + bytes(6) + bytes([255]) + bytes(15)
            wire.sendto(sealed(body), source)
        else:
            head, stamp, error = probe[:4], probe[4:12], probe[12:14]
            body = head + now() + ERROR + bytes(2) + received + head + stamp + error + bytes(2) + bytes([255, 0, 0, 0])
            wire.sendto(body, source)
