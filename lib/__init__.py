"""The Pulumi program: what the stack is made of."""
