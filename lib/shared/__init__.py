"""What belongs to both regions: what they share, and what is copied from one to the other."""
