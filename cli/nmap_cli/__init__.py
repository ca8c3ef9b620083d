"""The command line of nmap: each module parses, calls the library verb of the same name, and prints."""
