"""Parses the flow lines in a file with Open vSwitch's Python library, over and over; prints lines per second.

Usage: odp_flow.py FILE SECONDS
"""

import sys
import time

from ovs.flow.odp import ODPFlow


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = file.read().splitlines()
    seconds = float(sys.argv[2])
    parsed = 0
    start = time.perf_counter()
    while True:
        for line in lines:
            ODPFlow(line)
            parsed += 1
            # Often enough: a line takes about a millisecond.
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                print(parsed / elapsed)
                return


main()
