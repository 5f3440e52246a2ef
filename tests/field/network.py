#!/usr/bin/env python3
"""Answers at the far ends of a vantage point's uplinks as all the network behind them, and states what is right.

usage: network.py CASE PROTOCOL TRANSPORT LOG DEVICE…

Prints its plan, a line of JSON, once it hears the devices; then answers until standard input ends. A case may ask for a change at
the vantage point by a further line, and is told by a line when that is done. LOG then holds a line for each probe that came: where,
what it was, and the facts of every answer in the order in which they left. Its last line tells how many packets were lost before
they could be read, and the plan as it has become.
"""

import heapq
import json
import selectors
import socket
import struct
import sys
import time

import cases
from packets import Probe

ETHERTYPES = (b"\x08\x00", b"\x86\xdd")
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING = 263, 6, 4


class Device:
    """A device whose packets are all read and answered here."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self.socket.bind((name, 3))  # ETH_P_ALL

    def packets(self):
        """What has arrived and is not read yet."""
        while True:
            try:
                frame, address = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING and frame[12:14] in ETHERTYPES:
                yield Probe(self.name, frame)

    def lost(self):
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


class Network:
    def __init__(self, case, devices):
        self.case = case
        self.devices = devices
        self.later = []
        self.seen = []
        self.order = 0

    def answer(self, device):
        for probe in device.packets():
            if not probe.is_ours():
                continue
            answers = self.case.answer(probe) or []
            entry = probe.identity()
            entry["answers"] = [answer.facts for answer in sorted(answers, key=lambda answer: answer.after_ms)]
            if self.case.keeps:
                entry["sent"] = [packet.hex() for answer in answers for packet in answer.packets]
            self.seen.append(entry)
            ethernet = probe.frame[6:12] + probe.frame[:6] + probe.frame[12:14]
            for answer in answers:
                for packet in answer.packets:
                    if answer.after_ms:
                        self.order += 1
                        due = time.monotonic() + answer.after_ms / 1000
                        heapq.heappush(self.later, (due, self.order, device, ethernet + packet))
                    else:
                        device.socket.send(ethernet + packet)

    def send_due(self):
        """Sends what is due; seconds until something else is."""
        while self.later:
            wait = self.later[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, device, frame = heapq.heappop(self.later)
            device.socket.send(frame)
        return None

    def serve(self):
        selector = selectors.DefaultSelector()
        for device in self.devices:
            selector.register(device.socket, selectors.EVENT_READ, device)
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        going = True
        while going:
            for key, _ in selector.select(self.send_due()):
                if key.data is None:
                    # Nothing but the end, and that a change is done.
                    going = bool(sys.stdin.readline())
                    self.case.changed()
                else:
                    self.answer(key.data)
        # What came before the end was told.
        for device in self.devices:
            self.answer(device)


def main():
    name, protocol, transport, log = sys.argv[1:5]
    devices = [Device(device) for device in sys.argv[5:]]
    case = cases.find(name)(protocol, transport)
    print(json.dumps(case.plan()), flush=True)
    network = Network(case, devices)
    network.serve()
    with open(log, "w") as file:
        for entry in network.seen:
            print(json.dumps(entry), file=file)
        print(json.dumps({"lost": sum(device.lost() for device in devices), "plan": case.plan()}), file=file)


main()
