"""What only drills need of AWS and the emulator lacks: Route 53's health checks and DNS, EventBridge, CloudWatch."""
