"""The experiments of the thesis that nmap starts from, done again: `python -m bench.thesis N --map F`."""
