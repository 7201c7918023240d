"""What both regions have in common, written once."""
