"""What both regions have, written once."""
