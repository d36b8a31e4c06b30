"""What a client holds, by identity: partitions, cached answers, flights under way, the calls themselves.

Nothing is sent from here.  State may import types, rules, codecs and what all of the core uses (errors, limits,
signals, statistics, commands); the machines that work on it, and that it keeps, it knows by their types alone.
"""
