"""What particular platforms hand to an agent run, turned into what this package understands: one module a platform."""
