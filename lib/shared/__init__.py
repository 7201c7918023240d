"""What belongs to both regions: resources that they share, and copies from one to the other."""
