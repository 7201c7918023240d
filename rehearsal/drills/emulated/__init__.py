"""Services that only drills need and the emulator lacks: Route 53's health checks and DNS, EventBridge, CloudWatch."""
