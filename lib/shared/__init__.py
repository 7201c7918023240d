"""What belongs to both regions together: the things they share and what goes from one to the other."""
