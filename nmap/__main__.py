"""`python -m nmap`: the command line."""

from nmap_cli.main import cli

if __name__ == "__main__":
    cli(prog_name="nmap")
