"""The rules that every resource keeps to, and the Pulumi policy pack that runs them in a preview."""
