"""Types of the command line's parser."""

import argparse

# argparse gives the type no public name.
Commands = argparse._SubParsersAction[argparse.ArgumentParser]
