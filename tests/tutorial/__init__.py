"""The tutorial on a real sandbox."""
