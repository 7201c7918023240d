"""What both regions hold, written once."""
