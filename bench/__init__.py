"""How nmap measures against what a user could pick instead: rate at a fidelity, and time to a fidelity.

    python -m bench.rate MAP --resolution R   bytes of nmap and of classical codecs at one worst-shell FSC
    python -m bench.time MAP --resolution R   seconds of nmap and of two published recipes to such an FSC

Run from the root of a checkout, with the `bench` extra installed. README.md says how to read the results.
"""
